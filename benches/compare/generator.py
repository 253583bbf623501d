"""`viaduct bench` as the load generator of everybody."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess

from .peers import Broker
from .peers import running
from .report import Row
from .report import Run
from .rounds import GeneratorFailed
from .rounds import failure_of
from .rounds import faults
from .rounds import order
from .rounds import ratio_of
from .rounds import spread_of
from .rounds import validity
from .scenarios import CPU
from .scenarios import Goal
from .scenarios import Scenario

# What the generator may take beside warm-up and measurement: connecting, and draining what a slow peer still holds.
PATIENCE_SECONDS = 200
# Keys that every SQS stand-in takes, Viaduct's default ones among them.
AWS_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
VIADUCT = "viaduct"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How long and how often."""

    binary: str
    scratch: pathlib.Path
    rounds: int = 3
    warm_up: float = 1.0
    seconds: float = 3.0


def call(settings: Settings, arguments: list[str], seconds: float) -> dict:
    """Runs `viaduct bench ARGUMENTS` and returns its JSON."""
    output = settings.scratch / "bench.json"
    output.unlink(missing_ok=True)
    command = [settings.binary, "bench", *arguments, "--json", str(output)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=os.environ | AWS_KEYS)
    except subprocess.TimeoutExpired:
        raise GeneratorFailed(f"{' '.join(command)}: not within {seconds:.0f} s") from None
    if not output.exists():
        raise GeneratorFailed(f"{' '.join(command)}: ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return json.loads(output.read_text())


def limits(settings: Settings, number: int = 1) -> dict:
    """The machine's own limits now, on the file system that the brokers write to.

    What runs are judged by (sink, sync, ping-pong) is measured in every round, appends in batches only in the first.
    """
    batches = [] if number == 1 else ["--batch", "1"]
    return call(settings, ["limits", "--size", "1024", "--dir", str(settings.scratch), *batches], 120)


def measure(settings: Settings, scenario: Scenario, broker: Broker) -> dict:
    """One run of a scenario against a running broker, on a queue of its own that is gone afterwards."""
    protocol, url = protocol_of(scenario, broker)
    measured = ["--warmup", f"{settings.warm_up:g}", "--duration", f"{settings.seconds:g}", "--pid", str(broker.pid)]
    seconds = settings.warm_up + settings.seconds + PATIENCE_SECONDS
    return call(settings, [protocol, url, *scenario.options, *measured, "--no-progress"], seconds)


def protocol_of(scenario: Scenario, broker: Broker) -> tuple[str, str]:
    """The generator's protocol and URL: the scenario's where the broker speaks it, its only one else."""
    if scenario.protocol in broker.urls:
        return scenario.protocol, broker.urls[scenario.protocol]
    return next(iter(broker.urls.items()))


def described(scenario: Scenario, protocol: str | None = None) -> str:
    """The command as a reader would type it."""
    return " ".join(["viaduct bench", protocol or scenario.protocol, "URL", *scenario.options])


def compare(settings: Settings, scenario: Scenario, say) -> tuple[list[Row], Run]:
    """All rounds of a scenario, and what its goals make of them."""
    contestants = [VIADUCT, *scenario.peers]
    results = {name: [] for name in contestants}
    machine = []
    with contextlib.ExitStack() as stack:
        brokers = {
            name: stack.enter_context(running(name, settings.binary, settings.scratch)) for name in contestants
        }
        versions = {name: f"{broker.product} {broker.version()}" for name, broker in brokers.items()}
        # The first run of all is slower than the others, above all on virtual machines of languages: it is thrown away.
        discarded = dataclasses.replace(settings, seconds=1.0)
        for broker in brokers.values():
            measure(discarded, scenario, broker)
        for number, turns in enumerate(order(contestants, settings.rounds), start=1):
            machine.append(limits(settings, number))
            for name in turns:
                result = measure(settings, scenario, brokers[name])
                results[name].append(result)
                say(f"{scenario.name}, round {number}, {versions[name]}: {brief(result)}")
    rows = [judge(goal, scenario, results, machine, versions) for goal in scenario.goals]
    return rows, Run(scenario.name, described(scenario), machine, settings.rounds, results)


def judge(goal: Goal, scenario: Scenario, results: dict, machine: list[dict], versions: dict) -> Row:
    """One goal's row."""
    ours = spread_of(results[VIADUCT], goal.metric)
    theirs = spread_of(results[goal.peer], goal.metric) if goal.peer else None
    ratio = ratio_of(ours, theirs, goal.metric) if theirs else None
    rounds = len(results[VIADUCT])
    return Row(
        name=goal.name,
        title=goal.title,
        run=scenario.name,
        goal=goal_text(goal),
        unit=unit_of(goal.metric),
        ours=ours,
        met=goal.is_met_by(ours.median if ratio is None else ratio),
        invalid=validity(goal, results.get(goal.peer, []), machine, rounds)
        or failure_of(goal.peer, results.get(goal.peer, [])),
        fault=faults(results[VIADUCT], scenario.protocol),
        peer=versions.get(goal.peer),
        theirs=theirs,
        ratio=ratio,
    )


def goal_text(goal: Goal) -> str:
    """The goal as in `≥ 7×` or `≤ 10,000 µs`."""
    sign, value = ("≥", goal.at_least) if goal.at_least is not None else ("≤", goal.at_most)
    return f"{sign} {value:g}×" if goal.peer else f"{sign} {value:,g} {unit_of(goal.metric)}"


def unit_of(metric: str) -> str:
    if metric.endswith("_per_second"):
        return "msg/s"
    return "µs" if metric == CPU or "_us." in metric else ""


def brief(result: dict) -> str:
    """One run on one line."""
    end_to_end = result["end_to_end_us"]
    times = f"{end_to_end['p50']:,.0f} / {end_to_end['p99']:,.0f} µs" if end_to_end else "unknown"
    return (
        f"{result['received_per_second']:,.0f} msg/s, end to end {times}, "
        f"broker CPU {result[CPU] or 0:.2f} µs a message, lost {result['lost']}"
    )
