"""aio-pika, the asyncio client for Python: the ten steps.

Its codec (pamqp) picks the smallest field-table tag for an integer, so its headers cover tags that pika
never writes.
"""

from __future__ import annotations

import asyncio
import contextlib

import aio_pika
import aio_pika.exceptions
import pytest

from clients import expected


def run(coroutine):
    """Runs one test's coroutine; everything in it together has a minute."""
    return asyncio.run(asyncio.wait_for(coroutine, 60))


@contextlib.asynccontextmanager
async def open_channel(broker):
    connection = await aio_pika.connect(broker.amqp_url)
    async with connection:
        yield await connection.channel(publisher_confirms=True, on_return_raises=True)


def persistent(body: bytes, **properties) -> aio_pika.Message:
    return aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, **properties)


async def publish(channel, queue: str, *messages: aio_pika.Message) -> None:
    """Publishes all at once and returns when every one of them is confirmed."""
    exchange = channel.default_exchange
    await asyncio.gather(*(exchange.publish(message, queue, mandatory=True) for message in messages))


def test_connect_and_declare(broker, name):
    async def steps():
        async with open_channel(broker) as channel:
            queue = await channel.declare_queue(name, durable=True)
            assert queue.declaration_result.message_count == 0
            exchange = await channel.declare_exchange(f"{name}-x", aio_pika.ExchangeType.HEADERS, durable=True)
            await queue.bind(exchange, arguments={"x-match": "all", "kind": "a"})
            await exchange.publish(persistent(b"a", headers={"kind": "a"}), "")
            assert (await queue.get(timeout=10)).body == b"a"
            with pytest.raises(aio_pika.exceptions.DeliveryError):
                await exchange.publish(persistent(b"b", headers={"kind": "b"}), "", mandatory=True)

    run(steps())


def test_publish_1000_confirmed_and_consume_in_order(broker, name):
    async def steps():
        async with open_channel(broker) as channel:
            queue = await channel.declare_queue(name, durable=True)
            sent = [b"%d" % n for n in range(expected.COUNT)]
            await publish(channel, name, *map(persistent, sent))
            await channel.set_qos(prefetch_count=100)
            received = []
            async with queue.iterator(timeout=10) as messages:
                async for message in messages:
                    received.append(message.body)
                    await message.ack()
                    if len(received) == len(sent):
                        break
            assert received == sent

    run(steps())


def test_ack_nack_and_redelivery(broker, name):
    async def steps():
        async with open_channel(broker) as channel:
            queue = await channel.declare_queue(name, durable=True)
            await publish(channel, name, persistent(b"1"), persistent(b"2"))
            first, second = await queue.get(timeout=10), await queue.get(timeout=10)
            await first.nack(requeue=True)
            await second.ack()
            again = await queue.get(timeout=10)
            assert (again.body, again.redelivered) == (b"1", True)
            await again.reject(requeue=False)
            assert await queue.get(fail=False) is None

    run(steps())


def test_large_body(broker, name):
    async def steps():
        async with open_channel(broker) as channel:
            queue = await channel.declare_queue(name, durable=True)
            await publish(channel, name, persistent(expected.LARGE_AMQP))
            message = await queue.get(timeout=30)
            assert message.body == expected.LARGE_AMQP
            await message.ack()

    run(steps())


def test_all_properties_and_header_types(broker, name):
    properties = {
        "content_type": "application/json",
        "content_encoding": "gzip",
        "priority": 3,
        "correlation_id": "correlation",
        "reply_to": "replies",
        "expiration": 3600,
        "message_id": "message-1",
        "timestamp": expected.WHEN,
        "type": "order.created",
        "user_id": "guest",
        "app_id": "suite",
    }
    # pamqp 4 reads a byte array but cannot write one.
    headers = {key: value for key, value in expected.HEADERS.items() if key != "bytes"}

    async def steps():
        async with open_channel(broker) as channel:
            queue = await channel.declare_queue(name, durable=True)
            await publish(channel, name, persistent(b"{}", headers=headers, **properties))
            received = await queue.get(timeout=10)
            assert {key: getattr(received, key) for key in properties} == properties
            assert received.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
            assert received.headers == headers

    run(steps())


def test_error_texts(broker, name):
    async def steps():
        async with open_channel(broker) as channel:
            with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity) as closed:
                await channel.declare_queue(name, passive=True)
            assert expected.MISSING_QUEUE.format(queue=name) in str(closed.value)
        async with open_channel(broker) as channel:
            await channel.declare_queue(name, durable=True)
            with pytest.raises(aio_pika.exceptions.ChannelPreconditionFailed) as closed:
                await channel.declare_queue(name, durable=False)
            assert expected.INEQUIVALENT_DURABLE.format(queue=name) in str(closed.value)

    run(steps())


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_broker_restart_is_survived_by_a_robust_connection(broker, name, how):
    """aio-pika's robust connection reconnects by itself and goes on consuming on the same objects."""

    async def steps():
        connection = await aio_pika.connect_robust(broker.amqp_url, reconnect_interval=0.05)
        async with connection:
            channel = await connection.channel(publisher_confirms=True)
            queue = await channel.declare_queue(name, durable=True)
            await publish(channel, name, persistent(b"before"))
            await asyncio.to_thread(broker.restart, how)
            received = []
            async with queue.iterator(timeout=20) as messages:
                async for message in messages:
                    received.append(message.body)
                    await message.ack()
                    break
            assert received == [b"before"]

    run(steps())
