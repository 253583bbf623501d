"""Rows of figures, as markdown for `docs/benchmarks.md` and as JSON."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

from .rounds import Spread
from .rounds import medians

BEGIN = "<!-- figures: begin, written by benches/compare/run -->"
END = "<!-- figures: end -->"

MET = "met"
MISSED = "missed"
DOES_NOT_COUNT = "does not count"


@dataclasses.dataclass(frozen=True)
class Row:
    """One goal and what became of it."""

    name: str
    title: str
    # The run that it was read off: a key of the table of runs.
    run: str
    goal: str
    unit: str
    ours: Spread
    met: bool
    # Why it does not count, or None.
    invalid: str | None
    # What Viaduct got wrong beside speed, or None; a goal is missed then.
    fault: str | None = None
    peer: str | None = None
    theirs: Spread | None = None
    ratio: float | None = None

    @property
    def verdict(self) -> str:
        # A lost message is one on a busy machine, too.
        if self.fault:
            return f"{MISSED}: {self.fault}"
        outcome = MET if self.met else MISSED
        return f"{DOES_NOT_COUNT} ({outcome}): {self.invalid}" if self.invalid else outcome


@dataclasses.dataclass(frozen=True)
class Run:
    """How the figures of a run came about."""

    name: str
    command: str
    # What `viaduct bench limits` found before each round; empty where the run needs none.
    limits: Sequence[Mapping]
    rounds: int
    # Every round's JSON of every contestant, for whom the medians do not suffice.
    results: Mapping[str, Sequence[Mapping]]


def number(value: float) -> str:
    """Three significant digits with k or M, as in 59.7 k; small ones as they are."""
    for limit, divisor, suffix in ((1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if abs(value) >= limit:
            return f"{_digits(value / divisor)}{suffix}"
    return f"{value:,.0f}" if abs(value) >= 1_000 else _digits(value)


def _digits(value: float) -> str:
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}"


def spread(values: Spread, unit: str) -> str:
    """Median with the least and the most, as in `59.7 k (59.0 k–63.0 k) msg/s`."""
    return f"{number(values.median)} ({number(values.least)}–{number(values.most)}) {unit}"


def limits(found: Sequence[Mapping]) -> str:
    """One line of what the machine itself could do in that run, by the medians of its rounds."""
    if not found:
        return "–"
    values = medians(found)
    sink, append = values["sink_per_second"], values["append_per_second"]
    sync, ping = values["sync_us"], values["ping_pong_us"]
    appends = " / ".join(number(append[size]) for size in ("1", "10", "100", "1000"))
    return (
        f"sink {number(sink['64'])} / {number(sink['1'])} msg/s; append {appends} records/s; "
        f"sync {number(sync['p50'])} / {number(sync['p99'])} µs; "
        f"ping-pong {number(ping['p50'])} / {number(ping['p99'])} µs"
    )


def markdown(machine: str, rows: Sequence[Row], runs: Sequence[Run]) -> str:
    """The two tables: every goal with its verdict, then every run with its command and limits."""
    lines = [machine, "", "| figure | Viaduct | peer | ratio | goal | verdict |", "|---|---|---|---|---|---|"]
    for row in rows:
        peer = f"{row.peer}: {spread(row.theirs, row.unit)}" if row.theirs else "–"
        ratio = f"{_digits(row.ratio)}×" if row.ratio is not None else "–"
        ours = spread(row.ours, row.unit)
        lines.append(f"| {row.title} (`{row.name}`) | {ours} | {peer} | {ratio} | {row.goal} | {row.verdict} |")
    lines += ["", "| run of | command | rounds | limits of that run |", "|---|---|---|---|"]
    for run in runs:
        names = ", ".join(f"`{row.name}`" for row in rows if row.run == run.name)
        lines.append(f"| {names} | `{run.command}` | {run.rounds} | {limits(run.limits)} |")
    return "\n".join(lines) + "\n"


def as_json(machine: str, rows: Sequence[Row], runs: Sequence[Run]) -> str:
    """Everything, every round included."""
    described = [
        dataclasses.asdict(row) | {"verdict": row.verdict} | _spreads(row) for row in rows
    ]
    content = {"machine": machine, "figures": described, "runs": [dataclasses.asdict(run) for run in runs]}
    return json.dumps(content, indent=1) + "\n"


def _spreads(row: Row) -> dict:
    def whole(values: Spread | None):
        return values and {"median": values.median, "min": values.least, "max": values.most, "values": values.values}

    return {"ours": whole(row.ours), "theirs": whole(row.theirs)}


def put_between_markers(page: str, tables: str) -> str:
    """The page with `tables` in place of what stood between the two markers.

    Raises ValueError when the page does not have each marker once, in their order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"the page needs once {BEGIN} and after it once {END}")
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"


def update(path: pathlib.Path, tables: str) -> None:
    path.write_text(put_between_markers(path.read_text(), tables))


def summary(rows: Sequence[Row]) -> str:
    """The closing line."""
    counts = {verdict: sum(row.verdict.startswith(verdict) for row in rows) for verdict in (MET, MISSED, DOES_NOT_COUNT)}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
