"""kill -9 again and again while both doors work: a positive answer is a promise (DESIGN §2, rule 1).

Two queues, each fed and emptied by both doors, and their dead letters. The kill comes at a random moment, one in
four also during the start that follows. `Ledger` says what must be true in the end.
"""

from __future__ import annotations

import itertools
import json
import random
import time
import zlib

import pika
import pytest

from broker import Broker, wait_until
from clients.test_boto3 import create, receive
from clients.test_dead_letters import arn, dead_lettering_to
from conftest import sqs_client
from promises.ledger import Delivery, Ledger, text_of
from promises.load import WindowedPublisher, Worker
from promises.tracing import metric

# Short, so that what a killed receiver held comes back soon.
LEASE_SECONDS = 1
WINDOW = 100
PREFETCH = 40


class Load:
    """All workers of one life of the broker."""

    def __init__(self, broker: Broker, ledger: Ledger, name: str):
        self.broker, self.ledger = broker, ledger
        self.amqp, self.sqs = name, f"{name}-s"
        self.urls = {queue: f"{broker.aws_url}/000000000000/{queue}" for queue in (self.amqp, self.sqs)}
        work = [self.publish_to_amqp, self.publish_to_sqs, self.send_batches, self.send_singles]
        work += [self.consume_singly, self.consume_multiple, self.receive_and_delete, self.consume_dead]
        # What all of them have done, to know when they are in full swing.
        self.done = dict.fromkeys((one.__name__ for one in work), 0)
        self.workers = [Worker(one) for one in work]

    def join(self) -> None:
        for worker in self.workers:
            worker.join()

    def keys(self, sender: str):
        return (f"{sender}-{self.ledger.life}-{n}" for n in itertools.count())

    # --- producers --------------------------------------------------------------------------

    def publish_to_amqp(self) -> None:
        self.publish_windowed(self.amqp, "publish_to_amqp")

    def publish_to_sqs(self) -> None:
        self.publish_windowed(self.sqs, "publish_to_sqs")

    def publish_windowed(self, queue: str, name: str) -> None:
        messages = ((queue, text_of(key).encode()) for key in self.keys(name))

        def confirmed(body: bytes, published_at: float) -> None:
            self.ledger.confirm(body.partition(b" ")[0].decode(), published_at)
            self.done[name] += 1
            # The consumers are Python, too: a backlog of thousands would be all that a short life sees.
            if self.done[name] % WINDOW == 0:
                time.sleep(0.04)

        WindowedPublisher(self.broker, messages, WINDOW, confirmed).run()

    def send_batches(self) -> None:
        client, keys = sqs_client(self.broker), self.keys("batch")
        while True:
            batch = list(itertools.islice(keys, 10))
            entries = [{"Id": f"{n}", "MessageBody": text_of(key)} for n, key in enumerate(batch)]
            asked_at = time.monotonic()
            for sent in client.send_message_batch(QueueUrl=self.urls[self.amqp], Entries=entries)["Successful"]:
                self.ledger.confirm(batch[int(sent["Id"])], asked_at)
            self.done["send_batches"] += 1

    def send_singles(self) -> None:
        client = sqs_client(self.broker)
        for key in self.keys("single"):
            asked_at = time.monotonic()
            client.send_message(QueueUrl=self.urls[self.sqs], MessageBody=text_of(key))
            self.ledger.confirm(key, asked_at)
            self.done["send_singles"] += 1

    # --- consumers --------------------------------------------------------------------------

    def deliveries(self, queue: str, prefetch: int = PREFETCH):
        """(channel, delivery, key) of every message that a pika consumer of `queue` gets."""
        channel = pika.BlockingConnection(pika.URLParameters(self.broker.amqp_url)).channel()
        channel.basic_qos(prefetch_count=prefetch)
        for method, _, body in channel.consume(queue):
            yield channel, method, self.ledger.deliver(
                queue, body.decode(), by_amqp=True, says_first=not method.redelivered
            )

    def consume_singly(self) -> None:
        """Acks most, sends some back, rejects some into the dead letters, and holds a few until the kill."""
        for channel, method, key in self.deliveries(self.amqp):
            fate = zlib.crc32(f"fate {key}".encode()) % 20
            if fate < 2 and not method.redelivered:
                channel.basic_nack(method.delivery_tag, requeue=True)
                self.ledger.did("sent back")
            elif fate < 4:
                channel.basic_reject(method.delivery_tag, requeue=False)
                self.ledger.did("rejected")
            elif fate < 5 and self.done["consume_singly"] % 10 == 0:
                self.ledger.did("held")
            else:
                self.ledger.accept(key)
                channel.basic_ack(method.delivery_tag)
            self.done["consume_singly"] += 1

    def consume_multiple(self) -> None:
        """Acks ten at a time."""
        unsettled: list[str] = []
        for channel, method, key in self.deliveries(self.sqs):
            unsettled.append(key)
            if len(unsettled) == 10:
                self.ledger.accept(*unsettled)
                channel.basic_ack(method.delivery_tag, multiple=True)
                unsettled.clear()
            self.done["consume_multiple"] += 1

    def receive_and_delete(self) -> None:
        """Receives from both queues and deletes most; what lapses too often becomes a dead letter."""
        client = sqs_client(self.broker)
        for queue in itertools.cycle((self.amqp, self.sqs)):
            messages = receive(client, self.urls[queue], WaitTimeSeconds=0, VisibilityTimeout=LEASE_SECONDS)
            keys = {}
            for message in messages:
                is_first = message["Attributes"]["ApproximateReceiveCount"] == "1"
                key = self.ledger.deliver(queue, message["Body"], by_amqp=False, says_first=is_first)
                if zlib.crc32(f"fate {key}".encode()) % 8:
                    keys[key] = message["ReceiptHandle"]
            if keys:
                entries = [{"Id": f"{n}", "ReceiptHandle": handle} for n, handle in enumerate(keys.values())]
                self.ledger.accept(*keys)
                asked_at = time.monotonic()
                answer = client.delete_message_batch(QueueUrl=self.urls[queue], Entries=entries)
                self.ledger.promise(asked_at)
                self.ledger.delete(*(list(keys)[int(one["Id"])] for one in answer["Successful"]))
                self.done["receive_and_delete"] += 1

    def consume_dead(self) -> None:
        """Acks most dead letters of both queues; the others come again in every life."""
        for channel, method, key in self.deliveries(f"{self.amqp}-dead", prefetch=0):
            if zlib.crc32(key.encode()) % 8:
                self.ledger.accept(key)
                channel.basic_ack(method.delivery_tag)
            self.done["consume_dead"] += 1


def declare(broker: Broker, name: str) -> None:
    """`name` has its dead letters by exchange, `name`-s by redrive policy; both go to `name`-dead."""
    channel = pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()
    channel.queue_declare(f"{name}-dead", durable=True)
    channel.queue_declare(name, durable=True, arguments=dead_lettering_to(f"{name}-dead"))
    sqs = sqs_client(broker)
    target = arn(sqs, sqs.get_queue_url(QueueName=f"{name}-dead")["QueueUrl"])
    create(sqs, f"{name}-s", RedrivePolicy=json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 3}))


def is_in_full_swing(load: Load, enough: int) -> bool:
    """Every worker has done something, dead letters apart, and a publisher much."""
    done = dict(load.done)
    done.pop("consume_dead")
    return min(done.values()) >= 1 and done["publish_to_amqp"] >= enough


def drain(broker: Broker, ledger: Ledger, queues: list[str]) -> list[Delivery]:
    """Everything that is left, once leases have lapsed; ends when the broker says that it has nothing more."""
    channel = pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()
    left: list[Delivery] = []

    def take(queue: str):
        def taken(_, method, __, body) -> None:
            ledger.deliver(queue, body.decode(), by_amqp=True, says_first=not method.redelivered)
            left.append(ledger.deliveries.pop())
            channel.basic_ack(method.delivery_tag)

        return taken

    for queue in queues:
        channel.basic_consume(queue, take(queue))

    def is_empty() -> bool:
        channel.connection.process_data_events(0.1)
        return sum(metric(broker, f"viaduct_messages_{state}") for state in ("ready", "leased", "delayed")) == 0

    wait_until("nothing is left in the broker", is_empty, 60)
    channel.connection.close()
    return left


def crash(broker: Broker, name: str, rounds: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, ledger = random.Random(seed), Ledger(f"{name}-dead")
    declare(broker, name)
    for ledger.life in range(rounds):
        load = Load(broker, ledger, name)
        enough = chance.randrange(20, 1000)
        wait_until("all are at work", lambda: is_in_full_swing(load, enough), 60)
        broker.kill()
        load.join()
        if chance.random() < 0.25:
            # A start is killed as well, wherever it is by then.
            broker.launch()
            time.sleep(chance.uniform(0, 0.3))
            broker.kill()
            ledger.did("starts killed")
        broker.start()
    ledger.life = rounds
    left = drain(broker, ledger, [name, f"{name}-s", f"{name}-dead"])
    dead = sum(delivery.queue.endswith("-dead") for delivery in left)
    print(f"{rounds} kills: {ledger.summary()}; {len(left)} left, {dead} of them dead letters")
    assert all(ledger.counts[what] for what in ("sent back", "rejected")) and dead and ledger.deleted
    ledger.check(left)


def test_ten_kills_break_no_promise(broker, name):
    crash(broker, name, rounds=10)


@pytest.mark.long
def test_two_hundred_kills_break_no_promise(broker, name):
    crash(broker, name, rounds=200)
