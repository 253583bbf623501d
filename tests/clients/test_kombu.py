"""kombu (with py-amqp), what Celery speaks: the ten steps."""

from __future__ import annotations

import socket

import amqp.exceptions
import kombu
import pytest

from clients import expected


@pytest.fixture
def connection(broker):
    with kombu.Connection(broker.amqp_url, transport_options={"confirm_publish": True}) as connection:
        connection.connect()
        yield connection


def queue(name: str) -> kombu.Queue:
    return kombu.Queue(name, kombu.Exchange(f"{name}-x", "direct", durable=True), routing_key=name, durable=True)


def drain(connection, declared: kombu.Queue, count: int, answer=lambda message: message.ack(), prefetch: int = 0) -> list:
    """Consumes `count` messages, answers each, and returns them as (body, message)."""
    received = []

    def on_message(body, message):
        received.append((body, message))
        answer(message)

    with kombu.Consumer(connection, [declared], callbacks=[on_message], prefetch_count=prefetch or None):
        while len(received) < count:
            connection.drain_events(timeout=10)
    return received


def test_connect(connection):
    properties = connection.connection.server_properties
    assert properties["product"] and properties["version"]
    assert properties["capabilities"]["publisher_confirms"] is True
    assert connection.connected


def test_declare(connection, name):
    bound = queue(name)(connection.channel())
    bound.declare()
    assert bound.queue_declare(passive=True).message_count == 0
    bound.unbind_from(kombu.Exchange(f"{name}-x"), name)
    bound.delete()
    with pytest.raises(amqp.exceptions.NotFound):
        bound.queue_declare(passive=True)


def test_publish_1000_confirmed_and_consume_in_order(connection, name):
    declared = queue(name)
    producer = kombu.Producer(connection, declared.exchange, name)
    sent = [{"n": n} for n in range(expected.COUNT)]
    for body in sent:
        producer.publish(body, declare=[declared], serializer="json", delivery_mode=2)
    # Celery's workers set prefetch with the global flag, which kombu chooses by the server's product.
    received = drain(connection, declared, len(sent), prefetch=64)
    assert [body for body, _ in received] == sent


def test_ack_nack_and_redelivery(connection, name):
    declared = queue(name)
    producer = kombu.Producer(connection, declared.exchange, name)
    producer.publish("task", declare=[declared], delivery_mode=2)
    # While the consumer is being cancelled the message may come back once more, and is requeued again.
    _, first = drain(connection, declared, 1, answer=lambda message: message.requeue())[0]
    assert first.delivery_info["redelivered"] is False
    (body, again), = drain(connection, declared, 1, answer=lambda message: message.reject())
    assert body == "task" and again.delivery_info["redelivered"] is True
    with kombu.Consumer(connection, [declared]), pytest.raises(socket.timeout):
        connection.drain_events(timeout=0.2)


def test_large_body(connection, name):
    declared = queue(name)
    producer = kombu.Producer(connection, declared.exchange, name)
    producer.publish(
        expected.LARGE_AMQP,
        declare=[declared],
        content_type="application/octet-stream",
        content_encoding="binary",
    )
    (body, _), = drain(connection, declared, 1)
    assert body == expected.LARGE_AMQP


def test_all_properties_and_header_types(connection, name):
    declared = queue(name)
    properties = {
        "priority": 3,
        "correlation_id": "correlation",
        "reply_to": "replies",
        "expiration": "3600000",
        "message_id": "message-1",
        "timestamp": int(expected.WHEN.timestamp()),
        "type": "order.created",
        "user_id": "guest",
        "app_id": "suite",
        "cluster_id": "cluster",
        "delivery_mode": 2,
    }
    # py-amqp reads and writes timestamps without a zone.
    headers = expected.HEADERS | {"timestamp": expected.WHEN.replace(tzinfo=None)}
    # kombu's own `expiration` is in seconds; everything else goes to the wire as it is.
    given = properties | {"expiration": 3600}
    producer = kombu.Producer(connection, declared.exchange, name)
    producer.publish("{}", declare=[declared], headers=headers, content_type="text/plain", **given)
    (_, message), = drain(connection, declared, 1)
    got = {key: message.properties.get(key) for key in properties}
    assert got == properties
    assert message.content_type == "text/plain"
    assert message.headers == headers


def test_error_texts(connection, name):
    with pytest.raises(amqp.exceptions.NotFound) as missing:
        connection.channel().queue_declare(name, passive=True)
    assert (missing.value.reply_code, missing.value.reply_text) == (404, expected.MISSING_QUEUE.format(queue=name))
    connection.channel().queue_declare(name, durable=True, auto_delete=False)
    with pytest.raises(amqp.exceptions.PreconditionFailed) as inequivalent:
        connection.channel().queue_declare(name, durable=False, auto_delete=False)
    assert inequivalent.value.reply_text == expected.INEQUIVALENT_DURABLE.format(queue=name)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_broker_restart(connection, broker, name, how):
    declared = queue(name)
    kombu.Producer(connection, declared.exchange, name).publish("before", declare=[declared], delivery_mode=2)
    broker.restart(how)
    with pytest.raises(connection.recoverable_connection_errors):
        while True:
            connection.drain_events(timeout=5)
    # `ensure_connection` and a new channel are what Celery does after a lost broker.
    with connection.clone() as fresh:
        fresh.ensure_connection(max_retries=20, interval_start=0.05)
        (body, _), = drain(fresh, declared, 1)
    assert body == "before"
