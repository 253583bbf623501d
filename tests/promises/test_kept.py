"""Kills while the log looks after itself: in the middle of a checkpoint, of a copy forward, and a process that stops.

The thread is held at one of its syncs, so the kill finds exactly that one begun.
"""

from __future__ import annotations

import signal
import time

import pika
import pytest

from broker import Broker, wait_until
from clients.test_boto3 import create, receive
from conftest import sqs_client
from promises.load import WindowedPublisher, Worker
from promises.tracing import SyncsHeld, metric

BODY = 32 * 1024
# A checkpoint is due after 128 MiB of log.
MESSAGES = 6_000
HELD_SECONDS = 60
# Longer than the broker's clocks tick and shorter than a heartbeat.
STOPPED_SECONDS = 10
LEASE_SECONDS = 3


@pytest.fixture
def broker(own):
    """A broker of its own: it is killed at a moment of its own."""
    return own


def body(n: int, size: int) -> bytes:
    return f"{n:08}".encode().ljust(size, b".")


def drained(broker: Broker, queue: str) -> list[int]:
    """Numbers of everything in the queue, in order."""
    with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
        channel = connection.channel()
        left = channel.queue_declare(queue, passive=True).method.message_count
        numbers = []
        for method, _, text in channel.consume(queue, auto_ack=True, inactivity_timeout=60):
            assert method is not None, f"nothing comes after {len(numbers)} of {left}"
            numbers.append(int(text[:8]))
            if len(numbers) == left:
                channel.cancel()
                return numbers


def declared(broker: Broker, *queues: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
        for queue in queues:
            connection.channel().queue_declare(queue, durable=True)


@pytest.mark.parametrize("sync", [1, 2, 3, 4])
def test_a_kill_in_the_middle_of_a_checkpoint_loses_nothing(broker, name, sync):
    """Its own file's syncs, the first of which come right after a start: a copy of the other generation."""
    declared(broker, name)
    confirmed = []
    messages = ((name, body(n, BODY)) for n in range(10**9))
    with SyncsHeld(broker, "viaduct-keeper", sync) as held:
        worker = Worker(WindowedPublisher(broker, messages, 100, lambda text, _: confirmed.append(int(text[:8]))).run)
        held.wait_for_sync(HELD_SECONDS)
        before = len(confirmed)
        wait_until("confirms wait for no checkpoint", lambda: len(confirmed) > before + 100)
        # strace keeps it until it lets go of the thread.
        broker.process.kill()
    broker.kill()
    worker.join()
    broker.start()
    numbers = drained(broker, name)
    assert numbers[: len(confirmed)] == confirmed
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize("sync", [1, 2, 3])
def test_a_kill_in_the_middle_of_a_copy_forward_loses_nothing(broker, name, sync):
    """One small message in ten is kept, the large ones are purged: what is left is copied out of the segments."""
    kept, purged = f"{name}-kept", f"{name}-purged"
    declared(broker, kept, purged)
    with SyncsHeld(broker, "viaduct-cold", sync) as held:
        for _ in range(3):
            messages = ((purged, body(n, BODY)) if n % 10 else (kept, body(n, 100)) for n in range(MESSAGES))
            WindowedPublisher(broker, messages, 200, lambda *_: None).run()
        with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
            connection.channel().queue_purge(purged)
        held.wait_for_sync(HELD_SECONDS)
        broker.process.kill()
    broker.kill()
    broker.start()
    wait_until("it copies again", lambda: metric(broker, "viaduct_log_copied_bytes_total") > 0, HELD_SECONDS)
    broker.restart("SIGKILL")
    assert drained(broker, kept) == 3 * list(range(0, MESSAGES, 10))


def test_a_process_that_was_stopped_for_ten_seconds_goes_on(broker, name):
    """No connection is lost, no confirm missing, and a lease that ran out meanwhile has run out."""
    declared(broker, name)
    sqs = sqs_client(broker)
    url = create(sqs, f"{name}-leased", VisibilityTimeout=str(LEASE_SECONDS))
    sqs.send_message(QueueUrl=url, MessageBody="leased")
    [first] = receive(sqs, url, AttributeNames=["ApproximateReceiveCount"])
    confirmed, last = [], 3_000
    messages = ((name, body(n, 1024)) for n in range(last))
    worker = Worker(WindowedPublisher(broker, messages, 50, lambda text, _: confirmed.append(int(text[:8]))).run)
    wait_until("it is in full swing", lambda: len(confirmed) > 200)
    broker.process.send_signal(signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)  # what is tested, not what is waited for
    at_rest = len(confirmed)
    broker.process.send_signal(signal.SIGCONT)
    worker.join()
    assert at_rest < last, "it was stopped too late"
    assert confirmed == list(range(last)), "every confirm came, over the same connection"
    assert drained(broker, name) == confirmed
    [again] = receive(sqs, url, AttributeNames=["ApproximateReceiveCount"], WaitTimeSeconds=5)
    assert again["Body"] == first["Body"] and again["Attributes"]["ApproximateReceiveCount"] == "2"
