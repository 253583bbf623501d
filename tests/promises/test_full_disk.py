"""Alarms and a disk that is really full: publishers wait in their protocol's words, consumers drain, and it goes on by itself.

The disk is a tmpfs of a few hundred megabytes that is filled and emptied beside the running broker.
"""

from __future__ import annotations

import itertools
import os

import botocore.exceptions
import pika
import pytest

from broker import Broker, wait_until
from clients.test_boto3 import create
from clients.test_pika import PERSISTENT
from conftest import sqs_client
from promises.load import WindowedPublisher, Worker, confirming
from promises.small_disk import SmallDisk

BINARY = os.environ.get("VIADUCT_BIN", "viaduct")
MIB = 1024 * 1024
BODY_BYTES = 16 * 1024


@pytest.fixture
def start(tmp_path):
    """Starts a broker on a small disk: `start(size, floor)` returns both."""
    opened: list = []

    def on(size_bytes: int, floor_bytes: int, **settings: str) -> tuple[Broker, SmallDisk]:
        disk = SmallDisk(tmp_path / "disk", size_bytes).__enter__()
        opened.append(lambda: disk.__exit__())
        settings = {"limits.disk_free_floor": str(floor_bytes)} | settings
        broker = Broker(BINARY, disk.folder, settings)
        broker.log_path, broker.stdout_path = tmp_path / "broker.log", tmp_path / "broker.out"
        opened.append(broker.close)
        return broker.start(), disk

    yield on
    for close in reversed(opened):
        close()


class Blocked:
    """What a publisher of pika's is told of alarms."""

    def __init__(self, broker: Broker):
        self.connection = pika.BlockingConnection(pika.URLParameters(broker.amqp_url))
        self.heard: list[str] = []
        self.connection.add_on_connection_blocked_callback(lambda _, frame: self.heard.append(frame.method.reason))
        self.connection.add_on_connection_unblocked_callback(lambda _, __: self.heard.append("unblocked"))
        self.channel = self.connection.channel()

    def hears(self, *words: str) -> bool:
        self.connection.process_data_events(0.05)
        return self.heard == list(words)


def test_publishers_are_told_of_a_low_disk_consumers_drain_and_it_goes_on_without_a_restart(start, name):
    floor = 150 * MIB
    broker, disk = start(600 * MIB, floor)
    url = create(sqs := sqs_client(broker), name)
    for n in range(10):
        sqs.send_message(QueueUrl=url, MessageBody=f"early {n}")
    publisher = Blocked(broker)
    publisher.channel.basic_publish("", name, b"early 10", PERSISTENT)
    assert publisher.hears()

    ballast = disk.fill(leave_bytes=floor - 16 * MIB)
    wait_until("a publisher is told", lambda: publisher.hears("low on disk"))
    # A publisher that comes now is told at its first publish, and its publish is kept back.
    late = Blocked(broker)
    late.channel.confirm_delivery()
    waits = Worker(lambda: late.channel.basic_publish("", name, b"late", PERSISTENT))
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        sqs.send_message(QueueUrl=url, MessageBody="refused")
    answer = refused.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (503, "ServiceUnavailable")

    # Consumers of both doors drain meanwhile.
    taken = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=5)["Messages"]
    for message in taken:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    reader = pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()
    rest = [reader.basic_get(name, auto_ack=True)[2].decode() for _ in range(6)]
    assert [m["Body"] for m in taken] + rest == [f"early {n}" for n in range(11)]
    assert reader.basic_get(name)[0] is None, "what was kept back is not in the queue"
    assert waits.thread.is_alive()

    pid = broker.process.pid
    ballast.unlink()
    wait_until("a publisher is told that it may go on", lambda: publisher.hears("low on disk", "unblocked"))
    waits.join()
    assert late.hears("low on disk", "unblocked")
    sqs.send_message(QueueUrl=url, MessageBody="last")
    assert [reader.basic_get(name, auto_ack=True)[2] for _ in range(2)] == [b"late", b"last"]
    assert broker.process.pid == pid and broker.process.poll() is None


def drain(channel, queue: str, seen: list[int], most: int) -> None:
    """Takes up to so many messages out for good, and notes their numbers."""
    for _ in range(most):
        method, _, body = channel.basic_get(queue)
        if method is None:
            return
        seen.append(int(body.split()[0]))
        channel.basic_ack(method.delivery_tag)


def test_a_disk_that_is_full_in_mid_batch_loses_no_confirm_and_room_makes_it_go_on(start, name):
    broker, disk = start(300 * MIB, 0)
    confirming(broker).queue_declare(name, durable=True)
    confirmed: list[int] = []
    padding = b"." * BODY_BYTES
    messages = ((name, b"%d " % n + padding) for n in itertools.count())
    publisher = WindowedPublisher(broker, messages, 500, lambda body, _: confirmed.append(int(body.split()[0])))
    worker = Worker(publisher.run)

    def stands_still() -> bool:
        before = len(confirmed)
        publisher_rests = not _changes(lambda: len(confirmed), before, seconds=2)
        return publisher_rests and disk.free_bytes() < 64 * MIB

    wait_until("the disk is full", stands_still, seconds=60)
    full_at = len(confirmed)
    assert full_at * BODY_BYTES > 64 * MIB and broker.process.poll() is None

    seen: list[int] = []
    reader = pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()
    drain(reader, name, seen, full_at)
    wait_until("publishers go on, for what was consumed made room", lambda: len(confirmed) > full_at, seconds=60)
    broker.kill()
    worker.join()
    broker.start()
    reader = pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()
    again: list[int] = []
    drain(reader, name, again, 10**9)
    assert set(confirmed) <= set(seen) | set(again), "a confirmed message is gone"
    assert again == sorted(again) and len(again) == len(set(again))


def _changes(value, before, seconds: float) -> bool:
    """Whether a value becomes another within so many seconds."""
    try:
        wait_until("it changes", lambda: value() != before, seconds)
    except AssertionError:
        return False
    return True
