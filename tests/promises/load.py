"""What works on a broker until it goes away, and remembers what it was told."""

from __future__ import annotations

import threading
import time
from typing import Callable, Iterable

import botocore.exceptions
import pika
import pika.exceptions

from broker import Broker
from clients.test_pika import PERSISTENT, publish

# What a client sees of a broker that ends in the middle of something.
BROKEN = (pika.exceptions.AMQPError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError)


def confirming(broker: Broker):
    """A channel of pika's in confirm mode, on a connection of its own."""
    channel = pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()
    channel.confirm_delivery()
    return channel


def settle(broker: Broker) -> None:
    """Lets the log write what nobody waits for (the grant of a receive), so that a held sync is the question's."""
    channel = confirming(broker)
    channel.queue_declare("settled", durable=True)
    publish(channel, "settled", b"")
    channel.connection.close()


class Worker:
    """Does one thing in a thread until the broker goes away."""

    def __init__(self, work: Callable[[], object]):
        self.fault: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self.thread.start()

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BROKEN:
            pass
        except BaseException as fault:  # shown by the main thread
            self.fault = fault

    def join(self) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive(), "a worker hangs"
        if self.fault is not None:
            raise self.fault


class WindowedPublisher:
    """An AMQP connection with up to `window` persistent publishes that are not confirmed yet.

    `messages` gives (queue, body); `confirmed` is called with each body and when it was published, in the order of
    the confirms.
    """

    def __init__(
        self,
        broker: Broker,
        messages: Iterable[tuple[str, bytes]],
        window: int,
        confirmed: Callable[[bytes, float], object],
        exchange: str = "",
    ):
        self.messages = iter(messages)
        self.window = window
        self.confirmed = confirmed
        self.exchange = exchange
        # Delivery tag → body and time, in the order of the tags.
        self.waiting: dict[int, tuple[bytes, float]] = {}
        self.tag = 0
        self.url = broker.amqp_url

    def run(self) -> None:
        """Publishes until the messages end or the broker goes away."""
        connection = pika.SelectConnection(
            pika.URLParameters(self.url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._on_channel),
            on_open_error_callback=lambda connection, _: connection.ioloop.stop(),
            on_close_callback=lambda connection, _: connection.ioloop.stop(),
        )
        try:
            connection.ioloop.start()
        finally:
            connection.ioloop.close()

    def _on_channel(self, channel) -> None:
        self.channel = channel
        channel.confirm_delivery(self._on_answer, callback=lambda _: self._fill())

    def _fill(self) -> None:
        while len(self.waiting) < self.window:
            message = next(self.messages, None)
            if message is None:
                break
            queue, body = message
            self.tag += 1
            self.waiting[self.tag] = body, time.monotonic()
            self.channel.basic_publish(self.exchange, queue, body, PERSISTENT)
        if not self.waiting:
            self.channel.connection.close()

    def _on_answer(self, frame) -> None:
        answer = frame.method
        assert isinstance(answer, pika.spec.Basic.Ack), f"refused: {answer}"
        tags = [answer.delivery_tag]
        if answer.multiple:
            tags = [tag for tag in self.waiting if tag <= answer.delivery_tag]
        for tag in tags:
            self.confirmed(*self.waiting.pop(tag))
        self._fill()
