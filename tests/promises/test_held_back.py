"""While the disk has not synced, nobody is promised anything (DESIGN §2, rule 1), and nobody else waits."""

from __future__ import annotations

from typing import Callable

import pytest

from broker import Broker
from clients.test_boto3 import create, receive, receive_one, send_all
from clients.test_pika import PERSISTENT, get, publish
from conftest import sqs_client
from promises.load import confirming, settle
from promises.tracing import Asked, SyncsHeld, log_syncs

# Every held question is watched at least this long, and ten times as long as the same one took before.
WINDOW_SECONDS = 1.0
RELEASED_SECONDS = 20


# --- what is a promise: each sets something up and returns the question --------------------------


def amqp_publish(broker: Broker, name: str):
    channel = confirming(broker)
    channel.queue_declare(name, durable=True)
    return lambda: channel.basic_publish("", name, b"", PERSISTENT, mandatory=True)


def amqp_declare_queue(broker: Broker, name: str):
    channel = confirming(broker)
    return lambda: channel.queue_declare(name, durable=True)


def amqp_delete_queue(broker: Broker, name: str):
    channel = confirming(broker)
    channel.queue_declare(name, durable=True)
    return lambda: channel.queue_delete(name)


def amqp_purge_queue(broker: Broker, name: str):
    channel = confirming(broker)
    channel.queue_declare(name, durable=True)
    publish(channel, name, b"")
    return lambda: channel.queue_purge(name)


def amqp_declare_exchange(broker: Broker, name: str):
    channel = confirming(broker)
    return lambda: channel.exchange_declare(name, "fanout", durable=True)


def amqp_delete_exchange(broker: Broker, name: str):
    channel = confirming(broker)
    channel.exchange_declare(name, "fanout", durable=True)
    return lambda: channel.exchange_delete(name)


def amqp_bind(broker: Broker, name: str):
    channel = confirming(broker)
    channel.queue_declare(name, durable=True)
    return lambda: channel.queue_bind(name, "amq.fanout")


def amqp_unbind(broker: Broker, name: str):
    amqp_bind(broker, name)()
    channel = confirming(broker)
    return lambda: channel.queue_unbind(name, "amq.fanout")


def sqs_create_queue(broker: Broker, name: str):
    sqs = sqs_client(broker)
    return lambda: create(sqs, name)


def sqs_delete_queue(broker: Broker, name: str):
    sqs = sqs_client(broker)
    url = create(sqs, name)
    return lambda: sqs.delete_queue(QueueUrl=url)


def sqs_set_attributes(broker: Broker, name: str):
    sqs = sqs_client(broker)
    url = create(sqs, name)
    return lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"})


def sqs_send(broker: Broker, name: str):
    sqs = sqs_client(broker)
    url = create(sqs, name)
    return lambda: sqs.send_message(QueueUrl=url, MessageBody="held")


def sqs_send_batch(broker: Broker, name: str):
    sqs = sqs_client(broker)
    url = create(sqs, name)
    return lambda: send_all(sqs, url, ["one", "two"])


def sqs_delete(broker: Broker, name: str):
    sqs = sqs_client(broker)
    url = create(sqs, name)
    send_all(sqs, url, ["held"])
    handle = receive_one(sqs, url)["ReceiptHandle"]
    return lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)


def sqs_delete_batch(broker: Broker, name: str):
    sqs = sqs_client(broker)
    url = create(sqs, name)
    send_all(sqs, url, ["held"])
    entries = [{"Id": "0", "ReceiptHandle": receive_one(sqs, url)["ReceiptHandle"]}]

    def ask() -> None:
        assert sqs.delete_message_batch(QueueUrl=url, Entries=entries)["Successful"]

    return ask


def sqs_change_visibility(broker: Broker, name: str):
    sqs = sqs_client(broker)
    url = create(sqs, name)
    send_all(sqs, url, ["held"])
    handle = receive_one(sqs, url)["ReceiptHandle"]
    return lambda: sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=60)


def sqs_purge(broker: Broker, name: str):
    sqs = sqs_client(broker)
    url = create(sqs, name)
    send_all(sqs, url, ["held"])
    return lambda: sqs.purge_queue(QueueUrl=url)


PROMISES: list[Callable] = [
    amqp_publish,
    amqp_declare_queue,
    amqp_delete_queue,
    amqp_purge_queue,
    amqp_declare_exchange,
    amqp_delete_exchange,
    amqp_bind,
    amqp_unbind,
    sqs_create_queue,
    sqs_delete_queue,
    sqs_set_attributes,
    sqs_send,
    sqs_send_batch,
    sqs_delete,
    sqs_delete_batch,
    sqs_change_visibility,
    sqs_purge,
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_no_answer_comes_before_the_sync(broker, name, promise):
    control = Asked(promise(broker, f"{name}-control"))
    assert control.is_answered_within(RELEASED_SECONDS), "without a hold it is answered"
    window = max(WINDOW_SECONDS, 10 * control.seconds)
    ask = promise(broker, name)
    settle(broker)
    with SyncsHeld(broker) as held:
        asked = Asked(ask)
        held.wait_for_sync()
        assert not asked.is_answered_within(window), f"answered {asked.seconds:.3f} s after it was asked, unsynced"
    assert asked.is_answered_within(RELEASED_SECONDS), "it is answered once the disk has synced"


def test_what_promises_nothing_waits_for_nothing(broker, name):
    """A consumer goes on while the disk does not: basic.ack, deliveries, ReceiveMessage, transient publishes."""
    publisher, consumer, sqs = confirming(broker), confirming(broker), sqs_client(broker)
    consumer.queue_declare(name, durable=True)
    consumer.queue_declare(f"{name}-transient", durable=False)
    publish(consumer, name, b"1", b"2", b"3")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    consumer.basic_qos(prefetch_count=1)
    deliveries = consumer.consume(name, inactivity_timeout=RELEASED_SECONDS)
    first = next(deliveries)[0]
    with SyncsHeld(broker) as held:
        unanswered = Asked(lambda: publisher.basic_publish("", name, b"4", PERSISTENT, mandatory=True))
        held.wait_for_sync()
        syncs = log_syncs(broker)
        # With a prefetch of one, only an ack that was taken lets the next one come.
        consumer.basic_ack(first.delivery_tag)
        method, _, body = next(deliveries)
        assert (body, method.redelivered) == (b"2", False)
        assert [message["Body"] for message in receive(sqs, url, MaxNumberOfMessages=1)] == ["3"]
        # Delivery does not wait either: what is not confirmed yet is ready.
        assert [message["Body"] for message in receive(sqs, url)] == ["4"]
        consumer.basic_publish("", f"{name}-transient", b"5", mandatory=True)
        assert get(consumer, f"{name}-transient")[2] == b"5"
        assert not unanswered.is_answered_within(0) and log_syncs(broker) == syncs
    assert unanswered.is_answered_within(RELEASED_SECONDS)
