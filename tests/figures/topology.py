"""Declares and binds very much over AMQP 0-9-1: without waiting for answers, as no library does."""

from __future__ import annotations

import socket
import struct
from typing import Iterable

from compare import amqp

# Methods by class and number.
CHANNEL_OPEN, QUEUE_DECLARE, QUEUE_DECLARED = (20, 10), (50, 10), (50, 11)
QUEUE_BIND, QUEUE_DELETE = (50, 20), (50, 40)
PASSIVE, DURABLE, DECLARE_NOWAIT = 1, 2, 16
NOWAIT, DELETE_NOWAIT = 1, 4
WRITE_BYTES = 64 * 1024


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(method: tuple[int, int], arguments: bytes) -> bytes:
    payload = struct.pack(">HH", *method) + arguments
    return struct.pack(">BHI", 1, 1, len(payload)) + payload + b"\xce"


def _declare(queue: str, bits: int) -> bytes:
    return _frame(QUEUE_DECLARE, b"\0\0" + _short(queue) + bytes([bits]) + b"\0\0\0\0")


class Declarer:
    """A connection with one channel. Every call returns once the broker has done, and has on disk, what it was told."""

    def __init__(self, port: int):
        self.stream = amqp.connect(port, seconds=300)
        self.stream.sendall(_frame(CHANNEL_OPEN, b"\0"))
        self._receive()
        self.stream.sendall(_declare("sizes", DURABLE))
        self._receive()

    def declare(self, queues: Iterable[str]) -> None:
        """Durable queues without arguments."""
        self._send(_declare(queue, DURABLE | DECLARE_NOWAIT) for queue in queues)

    def bind(self, exchange: str, bindings: Iterable[tuple[str, str]]) -> None:
        """Queues, each with its key."""
        self._send(
            _frame(QUEUE_BIND, b"\0\0" + _short(queue) + _short(exchange) + _short(key) + b"\x01\0\0\0\0")
            for queue, key in bindings
        )

    def delete(self, queues: Iterable[str]) -> None:
        """Queues with what is in them."""
        self._send(_frame(QUEUE_DELETE, b"\0\0" + _short(queue) + bytes([DELETE_NOWAIT])) for queue in queues)

    def close(self) -> None:
        self.stream.close()

    def _send(self, frames: Iterable[bytes]) -> None:
        pending = bytearray()
        for frame in frames:
            pending += frame
            if len(pending) >= WRITE_BYTES:
                self.stream.sendall(pending)
                pending.clear()
        # The answer to what comes last: what a channel is told is done in order.
        self.stream.sendall(pending + _declare("sizes", DURABLE))
        self._receive()

    def _receive(self) -> None:
        """The next frame, which must be a method; a refusal is one that closes the channel or the connection."""
        _kind, _channel, size = struct.unpack(">BHI", self._exactly(7))
        payload = self._exactly(size + 1)
        if payload[:4] in (struct.pack(">HH", 10, 50), struct.pack(">HH", 20, 40)):
            raise ConnectionError(f"the broker refused: {payload!r}")

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self.stream.recv(size - len(parts))
            if not part:
                raise ConnectionError("the broker closed the connection")
            parts += part
        return bytes(parts)
