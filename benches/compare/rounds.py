"""Interleaved rounds: everybody takes turns, so that a neighbour's load falls on all, and medians are compared.

A ratio counts only if the peer was not held up: it must reach its reference, scaled by the machine's own limit in the
same run. Otherwise a busy machine could fail a goal, or a slow peer meet it.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from collections.abc import Sequence

from .scenarios import NEEDED_OF_REFERENCE
from .scenarios import REFERENCE_SINK
from .scenarios import Goal

# A median of fewer says nothing about the spread.
LEAST_ROUNDS = 3
# Syncs that follow each other in what is timed: the call's own, that of the call before it on either side, a neighbour's.
SYNCS_IN_A_TIME = 4


class GeneratorFailed(Exception):
    """The generator did not deliver a result, or one without the figure that a goal needs."""


def order(contestants: Sequence[str], rounds: int) -> list[list[str]]:
    """Who runs after whom in each round: the first moves to the end, so that nobody is always first after a pause."""
    turns = []
    for number in range(rounds):
        shift = number % len(contestants)
        turns.append([*contestants[shift:], *contestants[:shift]])
    return turns


@dataclasses.dataclass(frozen=True)
class Spread:
    """The values of the rounds in their order, as median and range."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)


def value_of(result: Mapping, metric: str) -> float:
    """A metric of one run's JSON; a dot leads into an object, as in `confirm_us.p50`.

    Raises GeneratorFailed where it is null: nothing was received or confirmed while it was measured.
    """
    value = result
    for key in metric.split("."):
        value = value[key]
        if value is None:
            raise GeneratorFailed(f"a round without {metric}: nothing was there to measure")
    return float(value)


def spread_of(results: Sequence[Mapping], metric: str) -> Spread:
    return Spread(tuple(value_of(result, metric) for result in results))


def ratio_of(ours: Spread, theirs: Spread, what: str) -> float:
    """The ratio of the medians; raises GeneratorFailed when the peer's is 0."""
    if theirs.median == 0:
        raise GeneratorFailed(f"the median of the peer's {what} is 0")
    return ours.median / theirs.median


def medians(results: Sequence[Mapping]) -> dict:
    """The median of every number of JSON objects of the first one's shape, at any depth, over those that have it."""
    first = results[0]
    answer = {}
    for key, value in first.items():
        values = [result[key] for result in results if key in result]
        if isinstance(value, Mapping):
            answer[key] = medians(values)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            answer[key] = statistics.median(values)
    return answer


def scale(limits: Sequence[Mapping]) -> float:
    """This machine in this run, as a share of the one that the references were measured on."""
    return spread_of(limits, "sink_per_second.64").median / REFERENCE_SINK


def too_few(rounds: int) -> str | None:
    """Why so many rounds do not count, or None."""
    return f"{rounds} of {LEAST_ROUNDS} rounds" if rounds < LEAST_ROUNDS else None


def quiet_machine(limits: Sequence[Mapping], rounds: int, allowed_us: float) -> str | None:
    """Why a time without a peer does not count, or None.

    No peer tells whether the machine was quiet, so its sink must, and its disk must be able to keep the time at all.
    """
    if few := too_few(rounds):
        return few
    machine = scale(limits)
    if machine < NEEDED_OF_REFERENCE:
        return f"the sink reached {machine:.2f}× its reference"
    sync = spread_of(limits, "sync_us.p99").median
    if sync * SYNCS_IN_A_TIME > allowed_us:
        return f"{SYNCS_IN_A_TIME} raw syncs took {sync * SYNCS_IN_A_TIME:,.0f} µs at p99"
    return None


def validity(goal: Goal, theirs: Sequence[Mapping], limits: Sequence[Mapping], rounds: int) -> str | None:
    """Why a goal's figures do not count, or None if they do. `limits` and `theirs` have an entry a round."""
    if few := too_few(rounds):
        return few
    if goal.reference is None:
        return quiet_machine(limits, rounds, goal.at_most)
    machine = scale(limits)
    reached = spread_of(theirs, goal.reference.metric).median
    if goal.reference.is_rate:
        needed = NEEDED_OF_REFERENCE * goal.reference.value * machine
        return None if reached >= needed else f"the peer reached {reached:,.0f} of {needed:,.0f} msg/s"
    allowed = goal.reference.value / NEEDED_OF_REFERENCE / machine
    return None if reached <= allowed else f"the peer took {reached:,.0f} of {allowed:,.0f} µs"


def faults(results: Sequence[Mapping], protocol: str) -> str | None:
    """What Viaduct's runs got wrong, or None: speed is worth nothing with a message lost.

    A standard queue of SQS promises no order, so there it is no fault to miss it.
    """
    keys = ["lost", "duplicated", "refused"] + ([] if protocol == "sqs" else ["reordered"])
    return ", ".join(counted(results, keys) + unfinished(results)) or None


def failure_of(peer: str, theirs: Sequence[Mapping]) -> str | None:
    """Why a peer's runs are none to be compared with, or None: who drops or holds back messages has less to do.

    What arrives twice or out of order costs the peer, not us.
    """
    found = counted(theirs, ["lost", "refused"]) + unfinished(theirs)
    return f"{peer}: {', '.join(found)}" if found else None


def counted(results: Sequence[Mapping], keys: Sequence[str]) -> list[str]:
    """Each of the counts that is not 0 over all rounds, as in `3 lost`."""
    found = {key: sum(result[key] for result in results) for key in keys}
    return [f"{count:.0f} {key}" for key, count in found.items() if count]


def unfinished(results: Sequence[Mapping]) -> list[str]:
    """What remained undone at the end of a run: `drained` is false where a message or its confirm never came."""
    rounds = sum(not result["drained"] for result in results)
    # Generators before these two keys say the same by `drained` alone.
    unsent = sum(result.get("unsent") or 0 for result in results)
    blocked = dict.fromkeys(str(result["blocked"]) for result in results if result.get("blocked"))
    return (
        ([f"{rounds} of {len(results)} runs not drained"] if rounds else [])
        + ([f"{unsent:.0f} unsent"] if unsent else [])
        + [f"blocked: {text}" for text in blocked]
    )
