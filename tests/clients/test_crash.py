"""kill -9 again and again while both doors work: a positive answer is a promise (DESIGN §2, rule 1)."""

from __future__ import annotations

import random
import threading

import botocore.exceptions
import pika
import pika.exceptions
import pytest

from broker import wait_until
from clients.test_boto3 import create, receive
from clients.test_pika import PERSISTENT
from conftest import sqs_client

# What a client sees of a broker that is killed in the middle of something.
BROKEN = (pika.exceptions.AMQPError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError)


class Worker:
    """Repeats one thing in a thread until the broker goes away, and keeps what was answered."""

    def __init__(self, work):
        self.answered: list[str] = []
        self.fault: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(work,))
        self.thread.start()

    def _run(self, work) -> None:
        try:
            work(self.answered)
        except BROKEN:
            pass
        except BaseException as fault:  # shown by the main thread
            self.fault = fault

    def join(self) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive() and self.fault is None, self.fault


def publish_by_amqp(broker, queue: str, prefix: str):
    def work(confirmed: list[str]) -> None:
        channel = pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()
        channel.confirm_delivery()
        n = 0
        while True:
            body = f"{prefix}-{n}"
            channel.basic_publish("", queue, body.encode(), PERSISTENT, mandatory=True)
            confirmed.append(body)
            n += 1

    return work


def send_by_sqs(broker, url: str, prefix: str):
    def work(sent: list[str]) -> None:
        client = sqs_client(broker)
        n = 0
        while True:
            entries = [{"Id": f"{i}", "MessageBody": f"{prefix}-{n + i}"} for i in range(10)]
            done = client.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
            sent.extend(f"{prefix}-{n + int(one['Id'])}" for one in done)
            n += 10

    return work


def delete_by_sqs(broker, url: str, asked: set[str]):
    """`asked` also holds the one whose answer the kill took."""

    def work(deleted: list[str]) -> None:
        client = sqs_client(broker)
        while True:
            for message in receive(client, url, WaitTimeSeconds=1):
                asked.add(message["Body"])
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                deleted.append(message["Body"])

    return work


def drain(broker, queue: str) -> list[str]:
    """Everything that is left, leases included: a consumer of AMQP once the leases have lapsed."""
    channel = pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()
    left = []
    for method, _, body in channel.consume(queue, inactivity_timeout=2.5):
        if method is None:
            break
        left.append(body.decode())
        channel.basic_ack(method.delivery_tag)
    channel.connection.close()
    return left


def crash(broker, name: str, rounds: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    # Leases are short, so that what a killed receiver held is back when the queue is drained.
    url = create(sqs_client(broker), name, VisibilityTimeout="1")
    answered: list[str] = []
    deleted: list[str] = []
    asked_to_delete: set[str] = set()
    for turn in range(rounds):
        senders = [
            Worker(publish_by_amqp(broker, name, f"a{turn}")),
            Worker(send_by_sqs(broker, url, f"s{turn}")),
        ]
        deleter = Worker(delete_by_sqs(broker, url, asked_to_delete))
        enough = chance.randrange(20, 200)
        wait_until("all are at work", lambda: min(len(w.answered) for w in senders) >= enough and deleter.answered, 30)
        broker.kill()
        for worker in (*senders, deleter):
            worker.join()
        answered += [body for worker in senders for body in worker.answered]
        deleted += deleter.answered
        broker.start()
    left = drain(broker, name)
    lost = set(answered) - asked_to_delete - set(left)
    assert not lost, f"{len(lost)} of {len(answered)} answered messages are lost: {sorted(lost)[:20]}"
    back = set(deleted) & set(left)
    assert not back, f"deleted, answered, and here again: {sorted(back)[:20]}"
    assert len(left) == len(set(left)), "nothing comes twice that was sent once"


def test_no_answer_is_broken_by_a_kill(broker, name):
    crash(broker, name, rounds=3)


@pytest.mark.long
def test_no_answer_is_broken_by_fifty_kills(broker, name):
    crash(broker, name, rounds=50)
