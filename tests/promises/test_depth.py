"""A backlog that memory has no room for: published, killed, and drained in order by both doors.

The cache of messages is a thousandth of what is queued, so nearly everything is on disk alone, its index included.
"""

from __future__ import annotations

import os
import pathlib

import pika
import pytest

from broker import Broker, wait_until
from clients.test_boto3 import receive
from conftest import sqs_client
from promises.load import WindowedPublisher

MESSAGES = 100_000
# What boto3 drains: ten a request, so a part of it is enough.
BY_SQS = 5_000
SETTINGS = {"limits.memory_budget": "16 MiB", "limits.message_cache": "64 KiB"}
# An idle broker of a debug build takes 25 MiB; in memory alone the backlog would add 40.
RESIDENT_MAX = 60 << 20


@pytest.fixture
def broker(tmp_path):
    """A broker of its own: it has little memory."""
    running = Broker(os.environ["VIADUCT_BIN"], tmp_path, SETTINGS)
    try:
        yield running.start()
    finally:
        running.close()


def resident(broker: Broker) -> int:
    status = pathlib.Path(f"/proc/{broker.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def body(n: int) -> bytes:
    return f"{n:08}".encode().ljust(100, b".")


def number(text: bytes | str) -> int:
    return int(text[:8])


def publish(broker: Broker, queue: str, numbers: range) -> None:
    messages = ((queue, body(n)) for n in numbers)
    WindowedPublisher(broker, messages, 2000, lambda *_: None).run()


def drain(channel, queue: str, upto: int, acked: int = 100):
    """Consumes so many in order, acknowledging every hundredth with all before; gives (number, redelivered)."""
    channel.basic_qos(prefetch_count=1000)
    seen = []
    for method, _, text in channel.consume(queue, inactivity_timeout=60):
        assert method is not None, f"nothing comes after {len(seen)} of {upto}"
        seen.append((number(text), method.redelivered))
        if len(seen) % acked == 0 or len(seen) == upto:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if len(seen) == upto:
            channel.cancel()
            return seen


def channel_of(broker: Broker):
    return pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()


def test_a_deep_queue_survives_a_kill_and_comes_back_in_order(broker, name):
    channel = channel_of(broker)
    channel.queue_declare(name, durable=True)
    publish(broker, name, range(MESSAGES))
    assert channel.queue_declare(name, passive=True).method.message_count == MESSAGES
    assert resident(broker) < RESIDENT_MAX, "published"

    broker.restart("SIGKILL")
    assert resident(broker) < RESIDENT_MAX, "restarted"
    channel = channel_of(broker)
    assert channel.queue_declare(name, passive=True).method.message_count == MESSAGES
    method, _, text = channel.basic_get(name, auto_ack=True)
    assert number(text) == 0, "a deep queue must not look empty"
    assert method.message_count == MESSAGES - 1
    by_amqp = MESSAGES - BY_SQS
    seen = drain(channel, name, by_amqp - 1)
    assert seen == [(n, True) for n in range(1, by_amqp)]
    assert resident(broker) < RESIDENT_MAX, "drained"

    sqs, url = sqs_client(broker), f"{broker.aws_url}/000000000000/{name}"
    count = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    assert int(count["Attributes"]["ApproximateNumberOfMessages"]) == BY_SQS
    numbers = []
    while len(numbers) < BY_SQS:
        # A short poll: it waits for the disk, but says nothing of emptiness.
        messages = receive(sqs, url, WaitTimeSeconds=0)
        assert messages, f"nothing came after {len(numbers)}"
        numbers += [number(message["Body"]) for message in messages]
        entries = [{"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]} for m in messages]
        assert not sqs.delete_message_batch(QueueUrl=url, Entries=entries).get("Failed")
    assert numbers == list(range(by_amqp, MESSAGES))
    assert channel.queue_declare(name, passive=True).method.message_count == 0


def test_what_is_published_while_a_deep_queue_is_drained_keeps_its_place(broker, name):
    channel = channel_of(broker)
    channel.queue_declare(name, durable=True)
    publish(broker, name, range(20_000))
    first = drain(channel, name, 5_000)
    publish(broker, name, range(20_000, 30_000))
    rest = drain(channel, name, 25_000)
    assert [n for n, _ in first + rest] == list(range(30_000))


def test_a_deep_queue_is_purged_and_deleted_at_once_and_gives_its_room_back(broker, name):
    channel = channel_of(broker)
    channel.queue_declare(name, durable=True)
    publish(broker, name, range(30_000))
    assert channel.queue_purge(name).method.message_count == 30_000
    publish(broker, name, range(100))
    broker.restart("SIGKILL")
    channel = channel_of(broker)
    assert [n for n, _ in drain(channel, name, 100)] == list(range(100))
    publish(broker, name, range(30_000))
    channel.queue_delete(name)
    channel.queue_declare(name, durable=True)
    assert channel.basic_get(name) == (None, None, None)
    publish(broker, name, range(100))
    wait_until("the broker answers", lambda: drain(channel, name, 100), 30)
