"""The process as its clients and its image meet it; everything that needs no client is in `tests/it`."""

from __future__ import annotations

import os
import re
import socket
import subprocess

import pika
import pika.exceptions
import pytest

from broker import Broker, wait_until
from conftest import TESTS

BINARY = os.environ.get("VIADUCT_BIN", "viaduct")

FOREIGN = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "amqp-1.0": b"AMQP\x00\x01\x00\x00",
}


@pytest.fixture
def mine(tmp_path):
    """A broker for this test alone."""
    broker = Broker(BINARY, tmp_path)
    yield broker.start()
    broker.close()


def test_a_stop_tells_the_clients(mine):
    connection = pika.BlockingConnection(pika.URLParameters(mine.amqp_url))
    assert mine.stop() == 0
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        connection.process_data_events(5)
    assert closed.value.reply_code == 320


@pytest.mark.parametrize("greeting", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_protocol_on_the_amqp_door_is_told_or_cut_off(mine, greeting):
    before = mine.log()
    with socket.create_connection(("127.0.0.1", mine.amqp_port), timeout=5) as client:
        client.sendall(greeting)
        answer = client.recv(100)
        # Another AMQP is told which one is spoken here; others are cut off, and the log says why.
        assert answer in (b"", b"AMQP\x00\x00\x09\x01") or answer.startswith(b"HTTP/1.1 400")
    wait_until("the log has a line about it", lambda: mine.log() != before)
    # Nobody else notices.
    pika.BlockingConnection(pika.URLParameters(mine.amqp_url)).close()


def test_the_image_sets_keys_that_exist():
    """Dockerfile and compose file configure by environment, which the broker can check without them."""
    root = TESTS.parent
    text = (root / "Dockerfile").read_text() + (root / "docker-compose.yml").read_text()
    settings = dict(re.findall(r"(VIADUCT(?:_DEFAULT)?__[A-Z_]+)(?:=|: )(\S+)", text))
    expected = {"VIADUCT_DEFAULT__DATA_DIR", "VIADUCT_DEFAULT__LISTENERS__AMQP", "VIADUCT__AUTH__DEFAULT_USERS"}
    assert expected <= set(settings)
    checked = subprocess.run([BINARY, "config", "check"], env=os.environ | settings, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
