"""The process as an operator meets it: how soon it is ready, how it ends, what its exit codes say."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time

import pika
import pytest

from broker import LISTENERS, Broker, wait_until
from conftest import TESTS

BINARY = os.environ.get("VIADUCT_BIN", "viaduct")
# What DESIGN allows, doubled: the machine that runs this also runs other things.
READY_SECONDS = 0.4
IDLE_STOP_SECONDS = 2
PORT_0 = [word for name in LISTENERS for word in ("--set", f"listeners.{name}=127.0.0.1:0")]


@pytest.fixture
def mine(tmp_path):
    """A broker for this test alone."""
    broker = Broker(BINARY, tmp_path)
    yield broker
    broker.close()


def viaduct(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [BINARY, *arguments], capture_output=True, text=True, timeout=30, env=os.environ | environment
    )


def test_ready_at_once_on_an_empty_data_dir(tmp_path):
    took = []
    # The best of three: what it costs, not what else the machine does.
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        start = time.monotonic()
        process = subprocess.Popen(
            [BINARY, "serve", "--data-dir", str(folder), *PORT_0],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until("listeners.json is written", (folder / "listeners.json").exists)
            took.append(time.monotonic() - start)
        finally:
            process.kill()
            process.wait()
    if os.environ.get("VIADUCT_PROFILE") != "dev":
        assert min(took) < READY_SECONDS, took


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_soon(mine, how):
    mine.start()
    start = time.monotonic()
    assert mine._end(how) == 0
    assert time.monotonic() - start < IDLE_STOP_SECONDS


def test_a_stop_tells_the_clients(mine):
    mine.start()
    connection = pika.BlockingConnection(pika.URLParameters(mine.amqp_url))
    assert mine.stop() == 0
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        connection.process_data_events(5)
    assert closed.value.reply_code == 320


def test_as_pid_1_it_takes_signals_and_leaves_no_zombie(tmp_path):
    """In a container nobody else is init: without a handler SIGTERM would be ignored there."""
    data = tmp_path / "data"
    # The user namespace makes it possible without root, where the kernel allows that.
    alone = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *alone, "--pid", "--fork", BINARY, "serve", "--data-dir", str(data), *PORT_0]
    outside = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_until("it listens", (data / "listeners.json").exists)
        children = f"/proc/{outside.pid}/task/{outside.pid}/children"
        with open(children) as listed:
            (inside,) = map(int, listed.read().split())
        os.kill(inside, signal.SIGTERM)
        assert outside.wait(10) == 0, outside.stderr.read()
    finally:
        if outside.poll() is None:
            outside.kill()


def test_port_in_use_names_address_protocol_and_key(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = viaduct("serve", "--data-dir", str(tmp_path / "data"), *PORT_0, "--set", f"listeners.amqp={address}")
    assert ended.returncode == 4
    assert address in ended.stderr and "listeners.amqp" in ended.stderr and "AMQP" in ended.stderr.upper()


def test_a_second_process_on_the_data_dir_is_refused(mine):
    mine.start()
    ended = viaduct("serve", "--data-dir", str(mine.data_dir), *PORT_0)
    assert ended.returncode == 3
    assert str(mine.data_dir) in ended.stderr


def test_an_unknown_key_names_its_place_and_the_nearest_key(tmp_path):
    file = tmp_path / "viaduct.toml"
    file.write_text('[listeners]\namqb = "127.0.0.1:5672"\n')
    ended = viaduct("serve", "--config", str(file), "--data-dir", str(tmp_path / "data"))
    assert ended.returncode == 2
    assert f"{file}:2:1" in ended.stderr and "amqb" in ended.stderr and "listeners.amqp" in ended.stderr


def test_an_unwritable_data_dir_says_what_to_do(tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    ended = viaduct("serve", "--data-dir", str(file / "data"), *PORT_0)
    assert ended.returncode == 3
    assert str(file / "data") in ended.stderr


FOREIGN = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "amqp-1.0": b"AMQP\x00\x01\x00\x00",
}


@pytest.mark.parametrize("greeting", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_protocol_gets_an_answer_or_an_end(mine, greeting):
    mine.start()
    with socket.create_connection(("127.0.0.1", mine.amqp_port), timeout=5) as client:
        client.sendall(greeting)
        answer = client.recv(100)
        # A peer that speaks another AMQP is told which one is spoken here; others are cut off, and the log says why.
        assert answer in (b"", b"AMQP\x00\x00\x09\x01") or answer.startswith(b"HTTP/1.1 400")
    wait_until("the log has a line about it", lambda: mine.log().strip())
    # Nobody else notices.
    pika.BlockingConnection(pika.URLParameters(mine.amqp_url)).close()


def test_listener_table_on_stdout_and_log_on_stderr(mine):
    mine.start()
    shown = mine.stdout_path.read_text()
    for address in mine.addresses.values():
        assert address in shown
    assert mine.stop() == 0
    assert mine.log().strip(), "the log has the start and the end"


def test_ready_lines_open_the_modules_of_testcontainers(tmp_path):
    broker = Broker(BINARY, tmp_path, {"ready_lines": "true"})
    try:
        broker.start()
        shown = broker.stdout_path.read_text() + broker.log()
    finally:
        broker.close()
    for line in ("Server startup complete", r"Ready\.$", "Apache ActiveMQ .* started", "HTTP Server started"):
        assert re.search(line, shown, re.MULTILINE), line


def test_the_image_sets_keys_that_exist(tmp_path):
    """Dockerfile and compose file set the configuration by environment; the broker checks its own keys."""
    root = TESTS.parent
    text = (root / "Dockerfile").read_text() + (root / "docker-compose.yml").read_text()
    settings = dict(re.findall(r"(VIADUCT__[A-Z_]+)(?:=|: )(\S+)", text))
    assert {"VIADUCT__DATA_DIR", "VIADUCT__LISTENERS__AMQP", "VIADUCT__AUTH__DEFAULT_USERS"} <= set(settings)
    checked = viaduct("config", "check", **settings)
    assert checked.returncode == 0, checked.stderr
