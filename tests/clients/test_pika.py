"""pika, RabbitMQ's client for Python: the ten steps."""

from __future__ import annotations

import time

import pika
import pika.exceptions
import pytest

from broker import wait_until
from clients import expected

PERSISTENT = pika.BasicProperties(delivery_mode=2)


def publish(channel, queue: str, *bodies: bytes) -> None:
    for body in bodies:
        channel.basic_publish("", queue, body, PERSISTENT, mandatory=True)


def get(channel, queue: str, seconds: float = 10):
    """The next message of `queue` by basic.get: (method, properties, body)."""

    def probe():
        method, properties, body = channel.basic_get(queue)
        return (method, properties, body) if method else None

    return wait_until(f"a message in {queue}", probe, seconds)


def test_connect(pika_connection):
    capabilities = pika_connection._impl.server_properties["capabilities"]
    for capability in ("publisher_confirms", "basic.nack", "consumer_cancel_notify", "connection.blocked"):
        assert capabilities[capability] is True


def test_declare(channel, name):
    declared = channel.queue_declare(name, durable=True, arguments={"x-max-length": 10_000}).method
    assert (declared.queue, declared.message_count, declared.consumer_count) == (name, 0, 0)
    channel.exchange_declare(f"{name}-topic", "topic", durable=True)
    channel.queue_bind(name, f"{name}-topic", "plant.*.temp")
    channel.basic_publish(f"{name}-topic", "plant.7.temp", b"21", PERSISTENT, mandatory=True)
    assert get(channel, name)[2] == b"21"
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish(f"{name}-topic", "plant.7.humidity", b"", PERSISTENT, mandatory=True)
    again = channel.queue_declare(name, durable=True, arguments={"x-max-length": 10_000}).method
    assert again.queue == name


def test_publish_1000_confirmed_and_consume_in_order(channel, name):
    channel.queue_declare(name, durable=True)
    sent = [b"%d" % n for n in range(expected.COUNT)]
    publish(channel, name, *sent)
    assert channel.queue_declare(name, passive=True).method.message_count == expected.COUNT

    channel.basic_qos(prefetch_count=50)
    received = []
    for method, _, body in channel.consume(name, inactivity_timeout=10):
        assert method is not None, f"only {len(received)} of {expected.COUNT} arrived"
        received.append(body)
        channel.basic_ack(method.delivery_tag)
        if len(received) == expected.COUNT:
            break
    channel.cancel()
    assert received == sent


def test_ack_removes(channel, pika_connection, name):
    channel.queue_declare(name, durable=True)
    publish(channel, name, b"kept", b"done")
    first = get(channel, name)
    channel.basic_ack(get(channel, name)[0].delivery_tag)
    assert first[2] == b"kept" and not first[0].redelivered
    channel.close()

    # The channel took its unacknowledged message back to the queue, and only that one.
    again = pika_connection.channel()
    method, _, body = get(again, name)
    assert (body, method.redelivered, method.message_count) == (b"kept", True, 0)
    again.basic_ack(method.delivery_tag)


def test_nack_and_redelivery(channel, name):
    channel.queue_declare(name, durable=True)
    publish(channel, name, b"1", b"2", b"3")
    first, second, third = (get(channel, name) for _ in range(3))
    channel.basic_nack(second[0].delivery_tag, multiple=True, requeue=True)
    channel.basic_reject(third[0].delivery_tag, requeue=False)
    # Back at their old places, marked as seen before; what was rejected is gone.
    back = [get(channel, name) for _ in range(2)]
    assert [(m.redelivered, body) for m, _, body in back] == [(True, b"1"), (True, b"2")]
    channel.basic_ack(back[-1][0].delivery_tag, multiple=True)
    assert channel.basic_get(name) == (None, None, None)
    assert first[2] == b"1"


def test_large_body(channel, name):
    channel.queue_declare(name, durable=True)
    publish(channel, name, expected.LARGE_AMQP)
    start = time.monotonic()
    method, _, body = get(channel, name)
    seconds = time.monotonic() - start
    assert body == expected.LARGE_AMQP
    # Far below the heartbeat: a body that goes on only when something else wakes the connection is one that hangs.
    assert seconds < 4, f"the body took {seconds:.1f} s"
    channel.basic_ack(method.delivery_tag)


def test_all_properties_and_header_types(channel, name):
    channel.queue_declare(name, durable=True)
    # pika 1.4 reads a double but cannot write one.
    headers = {key: value for key, value in expected.HEADERS.items() if key != "double"}
    sent = pika.BasicProperties(
        content_type="application/json",
        content_encoding="gzip",
        headers=headers,
        delivery_mode=2,
        priority=3,
        correlation_id="correlation",
        reply_to="replies",
        expiration="3600000",
        message_id="message-1",
        timestamp=int(expected.WHEN.timestamp()),
        type="order.created",
        user_id="guest",
        app_id="suite",
        cluster_id="cluster",
    )
    channel.basic_publish("", name, b"{}", sent, mandatory=True)
    _, received, _ = get(channel, name)
    # pika reads timestamps without a zone; they are UTC.
    received.headers["timestamp"] = received.headers["timestamp"].replace(tzinfo=expected.WHEN.tzinfo)
    assert received == sent


def test_error_texts(pika_connection, name):
    missing = f"{name}-missing"
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        pika_connection.channel().queue_declare(missing, passive=True)
    assert (closed.value.reply_code, closed.value.reply_text) == (404, expected.MISSING_QUEUE.format(queue=missing))

    pika_connection.channel().queue_declare(name, durable=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        pika_connection.channel().queue_declare(name, durable=False)
    assert (closed.value.reply_code, closed.value.reply_text) == (406, expected.INEQUIVALENT_DURABLE.format(queue=name))

    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        pika_connection.channel().basic_publish(missing, "key", b"")
        pika_connection.process_data_events(1)
        pika_connection.channel().queue_declare(missing, passive=True)
    assert closed.value.reply_code == 404
    assert pika_connection.is_open, "an error of a channel leaves the connection alone"


def test_wrong_password_is_refused(broker):
    wrong = pika.ConnectionParameters(
        "127.0.0.1", broker.amqp_port, credentials=pika.PlainCredentials("guest", "wrong"), connection_attempts=1
    )
    with pytest.raises(pika.exceptions.ProbableAuthenticationError) as refused:
        pika.BlockingConnection(wrong)
    assert "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN" in str(refused.value)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_broker_restart(broker, name, how):
    first = pika.BlockingConnection(pika.URLParameters(broker.amqp_url))
    channel = first.channel()
    channel.confirm_delivery()
    channel.exchange_declare(f"{name}-x", "direct", durable=True)
    channel.queue_declare(name, durable=True)
    channel.queue_bind(name, f"{name}-x", "key")
    sent = [b"%d" % n for n in range(100)]
    for body in sent:
        channel.basic_publish(f"{name}-x", "key", body, PERSISTENT, mandatory=True)
    taken = get(channel, name)
    acked = get(channel, name)
    channel.basic_ack(acked[0].delivery_tag)
    # An ack has no answer; the next answered method on the channel shows that it was read.
    channel.queue_declare(name, passive=True)

    broker.restart(how)

    with pytest.raises(pika.exceptions.AMQPError):
        while True:
            first.process_data_events(0.1)
    second = pika.BlockingConnection(pika.URLParameters(broker.amqp_url))
    channel = second.channel()
    channel.confirm_delivery()
    # The binding is back as well as the queue.
    channel.basic_publish(f"{name}-x", "key", b"after", PERSISTENT, mandatory=True)
    received = {}
    while b"after" not in received:
        method, _, body = get(channel, name)
        received[body] = method.redelivered
    assert received[taken[2]] is True, "it had been delivered before the restart"
    if how == "SIGTERM":
        # A clean stop keeps what it had read, order included.
        assert list(received) == [body for body in sent if body != acked[2]] + [b"after"]
    # A crash may bring an acknowledged message back (nothing waits for an ack), but never lose one.
    assert set(sent) - {acked[2]} <= set(received)
    second.close()
