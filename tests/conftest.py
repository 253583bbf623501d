"""What every client test shares: the broker, clients of both doors, names, and the rule for skips."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import pathlib
import re
import signal
import subprocess
import tomllib
import uuid

import boto3
import botocore.config
import pika
import pika.exceptions
import pytest

from broker import Broker

TESTS = pathlib.Path(__file__).parent

# The stand-ins of `peer_broker`: both addresses, or neither.
PEER_AMQP = os.environ.get("VIADUCT_PEER_AMQP")
PEER_AWS = os.environ.get("VIADUCT_PEER_AWS")


class PeerBroker:
    """Somebody else's broker behind the same tests, to tell a wrong test from a wrong broker.

    `VIADUCT_PEER_AMQP=127.0.0.1:5672` (a RabbitMQ) and `VIADUCT_PEER_AWS=127.0.0.1:5000` (an SQS
    emulator) switch it on. It is never restarted, and the two doors do not share their queues: only the
    tests of one client are meaningful against it.
    """

    def __init__(self):
        self.addresses = {"amqp": PEER_AMQP, "aws": PEER_AWS, "metrics": "127.0.0.1:1"}

    amqp_port = Broker.amqp_port
    amqp_url = Broker.amqp_url
    aws_url = Broker.aws_url
    aws_environment = Broker.aws_environment

    def restart(self, how: str = "SIGTERM") -> None:
        pytest.fail("another broker is not ours to restart")

    def log(self) -> str:
        return ""

    def close(self) -> None:
        pass


@pytest.fixture
def own(tmp_path):
    """A broker of one test alone: it is killed, counted, or has its files damaged."""
    running = Broker(os.environ["VIADUCT_BIN"], tmp_path)
    try:
        yield running.start()
    finally:
        running.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """The broker under test, one process a module; a test may restart it, its queues are named after the test."""
    if PEER_AMQP:
        yield PeerBroker()
        return
    folder = tmp_path_factory.mktemp("broker")
    running = Broker(os.environ["VIADUCT_BIN"], folder)
    try:
        yield running.start()
    finally:
        running.close()


@pytest.fixture(autouse=True)
def deadline(request):
    """Ends a test that hangs, so that the others still get their turn."""
    seconds = 1800 if request.node.get_closest_marker("long") else 120

    def too_late(_signal, _frame):
        raise TimeoutError(f"the test takes longer than {seconds} s")

    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.fixture
def name(request) -> str:
    """A queue name for this test alone, within SQS' naming rules."""
    test = re.sub(r"[^A-Za-z0-9_-]+", "-", request.node.name).strip("-")
    return f"{test[:60]}-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def pika_connection(broker):
    """An open pika connection."""
    connection = pika.BlockingConnection(pika.URLParameters(broker.amqp_url))
    yield connection
    # A test that kills the broker takes the connection with it.
    with contextlib.suppress(pika.exceptions.AMQPError):
        connection.close()


@pytest.fixture
def channel(pika_connection):
    """A channel of pika in confirm mode: a publish that returns is a publish that is kept."""
    channel = pika_connection.channel()
    channel.confirm_delivery()
    return channel


def sqs_client(broker):
    """A boto3 SQS client that fails at once rather than trying again: a retry would hide a fault."""
    return boto3.client(
        "sqs",
        endpoint_url=broker.aws_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=40),
    )


@pytest.fixture
def sqs(broker):
    """A boto3 SQS client."""
    return sqs_client(broker)


# --- skips ----------------------------------------------------------------------------------


def permitted_skips() -> list[dict]:
    return tomllib.loads((TESTS / "skips.toml").read_text()).get("skip", [])


def pytest_collection_modifyitems(items):
    """Skips what `skips.toml` lists, as long as its probe says that the reason still holds."""
    for skip in permitted_skips():
        matching = [item for item in items if fnmatch.fnmatch(item.nodeid, skip["test"])]
        if matching and subprocess.run(skip["probe"], shell=True, cwd=TESTS, capture_output=True).returncode != 0:
            for item in matching:
                item.add_marker(pytest.mark.skip(reason=f"skips.toml: {skip['reason']}"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Turns every other skip into a failure, and shows the broker's log beside a failure."""
    report = (yield).get_result()
    if report.skipped and "skips.toml: " not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped without a line in tests/skips.toml: {report.longrepr}"
    running = item.funcargs.get("broker") if hasattr(item, "funcargs") else None
    if report.failed and running is not None:
        report.sections.append(("the broker's log", running.log()))
