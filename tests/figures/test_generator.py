"""How the comparison reads the generator: a round without figures is shown, and ends its own run only."""

from __future__ import annotations

import pathlib

import pytest

from compare import command
from compare.generator import Settings
from compare.generator import brief
from compare.generator import judge
from compare.rounds import GeneratorFailed
from compare.scenarios import RECEIVED
from compare.scenarios import SCENARIOS

QUIET = [{"sink_per_second": {"64": 2_400_000}, "sync_us": {"p99": 250}}] * 3
RESULT = {
    RECEIVED: 500_000,
    "confirmed_per_second": 0,
    "broker_cpu_us_per_message": 2.5,
    "end_to_end_us": {"p50": 900, "p99": 2_000},
    "confirm_us": None,
    "lost": 0,
    "duplicated": 0,
    "refused": 0,
    "reordered": 0,
    "drained": True,
}
VERSIONS = {"viaduct": "Viaduct 1", "rabbitmq": "RabbitMQ 3"}
TRANSIENT = next(scenario for scenario in SCENARIOS if scenario.name == "transient")


def verdict(theirs: dict) -> str:
    goal = TRANSIENT.goals[0]
    return judge(goal, TRANSIENT, {"viaduct": [RESULT] * 3, "rabbitmq": [theirs] * 3}, QUIET, VERSIONS).verdict


def test_a_peer_that_lost_messages_does_not_count():
    assert verdict(RESULT | {RECEIVED: 60_000}) == "met"
    assert verdict(RESULT | {RECEIVED: 60_000, "lost": 1}) == "does not count (met): rabbitmq: 3 lost"


def test_a_round_in_which_nothing_arrived_is_shown_as_one():
    nothing = RESULT | {RECEIVED: 0, "end_to_end_us": None, "broker_cpu_us_per_message": None}
    assert brief(nothing) == "0 msg/s, end to end unknown, broker CPU 0.00 µs a message, lost 0"
    with pytest.raises(GeneratorFailed, match="is 0"):
        verdict(nothing)


def test_a_run_without_figures_does_not_hide_the_others(monkeypatch):
    def broken(_settings, _scenario, _say):
        raise GeneratorFailed("a round without figures")

    monkeypatch.setattr(command, "compare", broken)
    monkeypatch.setitem(command.SINGLES, "ready", lambda _settings, _say: ([], "a run"))
    rows, runs, failures = command.run_all(Settings("viaduct", pathlib.Path(".")), ["transient", "ready"])
    assert (rows, runs, failures) == ([], ["a run"], ["transient: a round without figures"])
