"""The rules of the comparison behind docs/benchmarks.md: turns, medians, and when a ratio counts."""

from __future__ import annotations

import dataclasses

import pytest

from compare.rounds import GeneratorFailed
from compare.rounds import Spread
from compare.rounds import failure_of
from compare.rounds import faults
from compare.rounds import medians
from compare.rounds import order
from compare.rounds import quiet_machine
from compare.rounds import ratio_of
from compare.rounds import spread_of
from compare.rounds import too_few
from compare.rounds import validity
from compare.rounds import value_of
from compare.scenarios import RECEIVED
from compare.scenarios import REFERENCE_SINK
from compare.scenarios import Goal
from compare.scenarios import Reference

QUIET = [{"sink_per_second": {"64": REFERENCE_SINK}, "sync_us": {"p99": 250}}] * 3
HALF_AS_FAST = [{"sink_per_second": {"64": REFERENCE_SINK / 2}, "sync_us": {"p99": 250}}] * 3
SLOW_DISK = [{"sink_per_second": {"64": REFERENCE_SINK}, "sync_us": {"p99": 2_501}}] * 3
RATE = Goal("rate", "", RECEIVED, at_least=7, peer="rabbitmq", reference=Reference(RECEIVED, 50_000))
TIME = Goal("time", "", "confirm_us.p50", at_most=0.5, peer="rabbitmq", reference=Reference("confirm_us.p50", 800))
ALONE = Goal("alone", "", "end_to_end_us.p99", at_most=10_000)


CLEAN = {"lost": 0, "duplicated": 0, "refused": 0, "reordered": 0, "drained": True}


def received(*rates: float) -> list[dict]:
    return [{RECEIVED: rate} for rate in rates]


def confirmed_in(*times: float) -> list[dict]:
    return [{"confirm_us": {"p50": time}} for time in times]


def test_everybody_is_first_second_and_last_once():
    turns = order(["viaduct", "rabbitmq", "nats"], 3)
    assert all(sorted(turn) == ["nats", "rabbitmq", "viaduct"] for turn in turns)
    assert all(len(set(place)) == 3 for place in zip(*turns))


def test_the_order_goes_on_after_a_whole_turn():
    assert order(["a", "b"], 3) == [["a", "b"], ["b", "a"], ["a", "b"]]


@pytest.mark.parametrize(
    "values, median", [((3.0,), 3), ((5.0, 1.0, 3.0), 3), ((4.0, 1.0, 3.0, 2.0), 2.5), ((1.0, 1.0, 900.0), 1)]
)
def test_a_spread_is_median_and_range(values, median):
    spread = Spread(values)
    assert (spread.median, spread.least, spread.most) == (median, min(values), max(values))


def test_a_dot_leads_into_an_object():
    result = {"sent": 3, "confirm_us": {"p50": 7}}
    assert value_of(result, "sent") == 3
    assert value_of(result, "confirm_us.p50") == 7
    assert spread_of([result, result], "confirm_us.p50").values == (7, 7)


def test_a_round_without_a_figure_fails_in_words():
    with pytest.raises(GeneratorFailed, match="a round without confirm_us.p50"):
        spread_of([*confirmed_in(7), {"confirm_us": None}], "confirm_us.p50")
    with pytest.raises(GeneratorFailed, match="a round without broker_cpu"):
        value_of({"broker_cpu_us_per_message": None}, "broker_cpu_us_per_message")


def test_nobody_is_compared_with_nothing():
    assert ratio_of(Spread((6.0,)), Spread((3.0,)), RECEIVED) == 2
    with pytest.raises(GeneratorFailed, match="the median of the peer's received_per_second is 0"):
        ratio_of(Spread((6.0,)), Spread((0.0, 5.0, 0.0)), RECEIVED)


def test_medians_of_objects_are_taken_number_by_number():
    found = medians([{"a": {"x": n, "y": -n}, "b": n, "name": "limits"} for n in (1, 9, 2)])
    assert found == {"a": {"x": 2, "y": -2}, "b": 2}
    assert medians([{"a": {"1": 4, "10": 30}}, {"a": {"1": 2}}, {"a": {"1": 3}}]) == {"a": {"1": 3, "10": 30}}


def test_a_ratio_counts_from_four_fifths_of_the_reference_on():
    assert validity(RATE, received(40_000, 40_001, 1), QUIET, 3) is None
    assert "39,999 of 40,000" in validity(RATE, received(39_999, 99_000, 1), QUIET, 3)


def test_a_slower_machine_asks_less_of_the_peer_and_a_faster_one_more():
    assert validity(RATE, received(20_000, 20_000, 20_000), HALF_AS_FAST, 3) is None
    faster = [{"sink_per_second": {"64": REFERENCE_SINK * 2}}] * 3
    assert validity(RATE, received(40_000, 40_000, 40_000), faster, 3) is not None


def test_a_time_counts_up_to_five_fourths_of_the_reference():
    assert validity(TIME, confirmed_in(1_000, 1_000, 1_000), QUIET, 3) is None
    assert validity(TIME, confirmed_in(1_001, 1_001, 1_001), QUIET, 3) is not None
    assert validity(TIME, confirmed_in(2_000, 2_000, 2_000), HALF_AS_FAST, 3) is None


def test_fewer_than_three_rounds_count_for_nothing():
    assert validity(RATE, received(99_000, 99_000), QUIET, 2) == "2 of 3 rounds"
    assert validity(ALONE, [], QUIET, 2) == quiet_machine(QUIET, 2, 10_000) == too_few(2) == "2 of 3 rounds"


def test_without_a_peer_the_machine_itself_must_be_quiet():
    assert validity(ALONE, [], QUIET, 3) is None
    assert "0.50×" in validity(ALONE, [], HALF_AS_FAST, 3)


def test_a_time_without_a_peer_needs_a_disk_that_could_keep_it():
    assert validity(ALONE, [], SLOW_DISK, 3) == "4 raw syncs took 10,004 µs at p99"
    assert quiet_machine(SLOW_DISK, 3, 200_000) is None


def test_cpu_counts_by_the_rate_of_its_run():
    cpu = dataclasses.replace(RATE, metric="broker_cpu_us_per_message", at_least=None, at_most=0.1)
    assert validity(cpu, received(40_000, 40_000, 40_000), QUIET, 3) is None
    assert validity(cpu, received(30_000, 30_000, 30_000), QUIET, 3) is not None


@pytest.mark.parametrize("ratio, met", [(6.99, False), (7, True), (8, True)])
def test_at_least_includes_the_bound(ratio, met):
    assert RATE.is_met_by(ratio) is met


@pytest.mark.parametrize("ratio, met", [(0.51, False), (0.5, True), (0.1, True)])
def test_at_most_includes_the_bound(ratio, met):
    assert TIME.is_met_by(ratio) is met


def test_a_message_lost_in_any_round_is_a_fault():
    assert faults([CLEAN, CLEAN], "amqp") is None
    assert faults([CLEAN, CLEAN | {"lost": 1}], "amqp") == "1 lost"
    assert faults([CLEAN | {"reordered": 2}], "amqp") == "2 reordered"


def test_what_was_received_but_never_confirmed_is_a_fault():
    assert faults([CLEAN, CLEAN | {"drained": False}], "amqp") == "1 of 2 runs not drained"


def test_what_was_never_sent_or_was_blocked_is_a_fault():
    assert faults([CLEAN | {"unsent": 0, "blocked": None}], "amqp") is None
    assert faults([CLEAN | {"unsent": 7, "blocked": "low on disk"}], "amqp") == "7 unsent, blocked: low on disk"


@pytest.mark.parametrize(
    "wrong, said", [({"lost": 2}, "2 lost"), ({"refused": 1}, "1 refused"), ({"drained": False}, "1 of 2 runs not drained")]
)
def test_a_peer_that_drops_messages_is_none_to_be_compared_with(wrong, said):
    assert failure_of("moto", [CLEAN, CLEAN | {"duplicated": 3, "reordered": 1}]) is None
    assert failure_of("moto", [CLEAN, CLEAN | wrong]) == f"moto: {said}"
    assert failure_of("moto", []) is None


def test_a_standard_queue_of_sqs_promises_no_order():
    result = CLEAN | {"reordered": 5}
    assert faults([result], "sqs") is None
    assert faults([result | {"duplicated": 1}], "sqs") == "1 duplicated"
