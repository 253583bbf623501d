"""How the comparison finds and ends what it starts, and its hand-made AMQP login against the real broker."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from compare import amqp
from compare.processes import Started
from compare.processes import accepts
from compare.processes import end_pid
from compare.processes import pid_listening_on
from compare.processes import resident_bytes
from compare.processes import wait_until


def test_the_listener_of_a_port_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert pid_listening_on(port) == os.getpid()
        assert accepts(port)
    assert pid_listening_on(port) is None
    assert not accepts(port)


def test_a_process_that_ends_too_early_shows_its_last_words(tmp_path):
    started = Started([sys.executable, "-c", "print('no such port'); exit(3)"], tmp_path / "log")
    with pytest.raises(RuntimeError, match="(?s)ended with 3.*no such port"):
        started.wait_for("nothing", lambda: False)


def test_a_pid_is_ended_and_waited_for():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    end_pid(child.pid)
    assert child.wait(10) != 0
    end_pid(child.pid)  # who is gone already is no error


def test_the_memory_of_a_process_is_in_bytes():
    assert resident_bytes(os.getpid()) > 1024 * 1024


def test_waiting_ends_by_its_deadline():
    with pytest.raises(TimeoutError, match="not within 0.01 s: never"):
        wait_until("never", lambda: False, seconds=0.01)


def test_the_login_of_the_idle_connections_is_one_that_the_broker_takes(broker):
    with amqp.connect(broker.amqp_port) as stream:
        stream.settimeout(0.05)
        with pytest.raises(TimeoutError):
            stream.recv(1)  # open, and silent


def test_a_listener_that_is_no_broker_is_refused():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(amqp.GREETING)
        with pytest.raises(ConnectionError, match="instead of connection method 10"):
            amqp.expect(ours, amqp.START)
