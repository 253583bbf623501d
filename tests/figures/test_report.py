"""What the comparison writes: numbers, verdicts, and the tables between the markers of docs/benchmarks.md."""

from __future__ import annotations

import dataclasses
import json

import pytest

from compare.report import BEGIN
from compare.report import END
from compare.report import Row
from compare.report import Run
from compare.report import as_json
from compare.report import limits
from compare.report import markdown
from compare.report import number
from compare.report import put_between_markers
from compare.report import summary
from compare.rounds import Spread
from compare.scenarios import SCENARIOS
from compare.single import SINGLES
from compare.single import log_rows
from conftest import TESTS

ROW = Row(
    name="transient",
    title="1 KiB transient",
    run="transient",
    goal="≥ 7×",
    unit="msg/s",
    ours=Spread((480_000, 470_000, 490_000)),
    met=True,
    invalid=None,
    peer="RabbitMQ 3.10.8",
    theirs=Spread((60_000, 59_000, 63_000)),
    ratio=8.0,
)
LIMITS = {
    "sink_per_second": {"64": 2.4e6, "1": 560_000},
    "append_per_second": {"1": 9_351, "10": 92_000, "100": 750_000, "1000": 2.45e6},
    "sync_us": {"p50": 99, "p99": 253},
    "ping_pong_us": {"p50": 13.4, "p99": 42},
}
RUN = Run("transient", "viaduct bench amqp URL --size 1024", [LIMITS] * 3, 3, {"viaduct": [{"lost": 0}]})


@pytest.mark.parametrize(
    "value, text",
    [(0.106, "0.11"), (7, "7.00"), (13.4, "13.4"), (909, "909"), (1_696, "1,696"), (59_700, "59.7 k"), (506_000, "506 k"),
     (2_400_000, "2.40 M"), (0, "0.00")],
)  # fmt: skip
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_a_row_shows_median_range_peer_ratio_goal_and_verdict():
    table = markdown("a machine", [ROW], [RUN])
    assert (
        "| 1 KiB transient (`transient`) | 480 k (470 k–490 k) msg/s | RabbitMQ 3.10.8: 60.0 k (59.0 k–63.0 k) msg/s "
        "| 8.00× | ≥ 7× | met |"
    ) in table
    assert "| `transient` | `viaduct bench amqp URL --size 1024` | 3 | sink 2.40 M / 560 k msg/s; append 9,351 / " in table


def test_a_row_without_a_peer_has_no_ratio():
    alone = dataclasses.replace(ROW, peer=None, theirs=None, ratio=None)
    assert "msg/s | – | – | ≥ 7× | met |" in markdown("", [alone], [])


def test_limits_are_the_medians_of_the_rounds():
    slow = LIMITS | {"sync_us": {"p50": 900, "p99": 2_000}}
    assert "sync 99.0 / 253 µs" in limits([LIMITS, slow, LIMITS])
    assert limits([]) == "–"


def test_verdicts():
    missed = dataclasses.replace(ROW, met=False)
    assert ROW.verdict == "met"
    assert missed.verdict == "missed"
    assert dataclasses.replace(missed, invalid="busy").verdict == "does not count (missed): busy"
    assert dataclasses.replace(ROW, invalid="busy").verdict == "does not count (met): busy"


def test_a_lost_message_is_a_miss_on_a_busy_machine_too():
    assert dataclasses.replace(ROW, invalid="busy", fault="1 lost").verdict == "missed: 1 lost"


def test_the_closing_line_counts_each_row_once():
    rows = [ROW, dataclasses.replace(ROW, met=False), dataclasses.replace(ROW, invalid="busy")]
    assert summary(rows) == "1 met, 1 missed, 1 does not count"


def test_json_has_every_round():
    content = json.loads(as_json("a machine", [ROW], [RUN]))
    figure = content["figures"][0]
    assert figure["ours"] == {"median": 480_000, "min": 470_000, "max": 490_000, "values": [480_000, 470_000, 490_000]}
    assert figure["verdict"] == "met"
    assert content["runs"][0]["limits"] == [LIMITS] * 3


def test_tables_replace_what_stood_between_the_markers():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = put_between_markers(page, "new\n")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert put_between_markers(once, "new\n") == once


@pytest.mark.parametrize("page", ["", BEGIN, END + BEGIN, BEGIN + BEGIN + END, BEGIN + END + END])
def test_a_page_without_its_markers_is_refused(page):
    with pytest.raises(ValueError, match="the page needs"):
        put_between_markers(page, "new")


def test_the_page_has_the_markers_and_names_every_run():
    page = (TESTS.parent / "docs/benchmarks.md").read_text()
    assert put_between_markers(page, "new\n")
    for name in [scenario.name for scenario in SCENARIOS] + list(SINGLES):
        assert f"`{name}`" in page, f"docs/benchmarks.md does not name {name}"


def test_names_of_goals_are_their_own():
    names = [goal.name for scenario in SCENARIOS for goal in scenario.goals]
    assert len(set(names)) == len(names)


def line(raw: int, log: int) -> str:
    """What the benchmark of the log prints of a batch whose rounds were all alike."""
    return f"batch   10: raw {raw:>9} [{raw} to {raw}]  log {log:>9} [{log} to {log}] ({log / raw:.2f} of raw)"


def test_the_benchmark_of_the_log_is_read_by_its_lines():
    output = (
        "records of 1024 bytes a second, median [least to most] of 5 rounds\n"
        "batch    1: raw      9351 [9000 to 9900]  log      4000 [3000 to 4100] (0.43 of raw)  "
        "log, 4 in flight         1 [1 to 1] (1.00)  1 records a sync\n"
        "batch 1000: raw   2450000 [2400000 to 2500000]  log   1470000 [1400000 to 1500000] (0.60 of raw)  log, 4 in\n"
    )
    rows = log_rows(output, None)
    assert [(row.name, row.met, round(row.ratio, 2)) for row in rows] == [("log-1", False, 0.43), ("log-1000", True, 0.6)]
    assert (rows[0].ours.least, rows[0].ours.most, rows[0].theirs.most) == (3000, 4100, 9900)
    assert not any(row.invalid for row in rows)
    (level,) = log_rows(line(raw=200, log=219), None)
    assert level.verdict == "met"
    (unsteady,) = log_rows(line(raw=1905, log=14778), None)
    assert unsteady.verdict == "does not count (met): the raw append was slower than the log"
    with pytest.raises(RuntimeError, match="no figures"):
        log_rows("nothing", None)


def test_the_log_does_not_count_in_a_quick_run_either():
    (quick,) = log_rows(line(raw=20000, log=14778), "1 of 3 rounds")
    assert quick.verdict == "does not count (met): 1 of 3 rounds"
