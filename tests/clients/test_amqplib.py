"""npm's amqplib: the ten steps of `tests/node/amqplib.mjs`, each in a process of its own."""

from __future__ import annotations

import subprocess

import pytest

from conftest import TESTS


def node(step: str, broker, queue: str) -> None:
    command = ["node", "amqplib.mjs", step, broker.amqp_url, queue]
    ended = subprocess.run(command, cwd=TESTS / "node", capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("step", ["connect", "declare", "thousand", "nack", "large", "properties", "errors"])
def test_step(broker, name, step):
    node(step, broker, name)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_broker_restart(broker, name, how):
    node("before-restart", broker, name)
    broker.restart(how)
    node("after-restart", broker, name)
