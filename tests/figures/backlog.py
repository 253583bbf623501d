"""Numbered messages into a queue and out of it again over AMQP 0-9-1, faster than a broker: most of it is copying.

A message's body begins with its number, eight bytes. All frames of a block have one length, so a block is made once,
and what changes from one block to the next, or what must have come, is a column of bytes: written and compared at once.
"""

from __future__ import annotations

import socket
import struct
import time

from compare import amqp

# Messages of a block: the last two bytes of their numbers are all there are, in order.
BLOCK = 1 << 16
NUMBER_BYTES = 8
# What may be unconfirmed: enough that neither side waits for the other's answer.
WINDOW = 20_000
WRITE_BYTES = 256 * 1024
READ_BYTES = 1 << 20
ACKS_OF = 1000
SECONDS = 120

CHANNEL_OPEN, CONFIRM_SELECT = (20, 10), (85, 10)
DECLARE, PURGE = (50, 10), (50, 30)
QOS, CONSUME, CANCEL = (60, 10), (60, 20), (60, 30)
PUBLISH, DELIVER, ACK = (60, 40), (60, 60), (60, 80)
END = b"\xce"
DURABLE, PERSISTENT = 2, 2


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + END


def _method(method: tuple[int, int], arguments: bytes = b"") -> bytes:
    return _frame(1, struct.pack(">HH", *method) + arguments)


def _content(size: int) -> tuple[bytes, int]:
    """The frames behind a publish or a delivery, and where the number stands in them."""
    header = _frame(2, struct.pack(">HHQHB", 60, 0, size, 1 << 12, PERSISTENT))
    return header + _frame(3, bytes(size)), len(header) + 7


class Columns:
    """`BLOCK` equal frames with the number of each at one place."""

    def __init__(self, frames: bytes, number_at: int):
        self.stride = len(frames)
        self.number_at = number_at
        self.bytes = bytearray(frames * BLOCK)
        self.low = bytes(range(256)) * (BLOCK // 256)
        self.middle = b"".join(bytes([n]) * 256 for n in range(256))
        self._column(NUMBER_BYTES - 1, self.low)
        self._column(NUMBER_BYTES - 2, self.middle)
        self.block = 0

    def _column(self, byte: int, values: bytes) -> None:
        self.bytes[self.number_at + byte :: self.stride] = values

    def of(self, block: int) -> memoryview:
        """The frames of this block; the view of another block ends with it."""
        for byte, (old, new) in enumerate(zip(self.block.to_bytes(6, "big"), block.to_bytes(6, "big"))):
            if old != new:
                self._column(byte, bytes([new]) * BLOCK)
        self.block = block
        return memoryview(self.bytes)


class Client:
    """A connection with one channel."""

    def __init__(self, port: int):
        self.stream = amqp.connect(port, seconds=SECONDS)
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES)
        self.stream.sendall(_method(CHANNEL_OPEN, b"\0"))
        self._method()

    def declare(self, queue: str) -> int:
        """A durable queue; how many messages are ready in it."""
        self.stream.sendall(_method(DECLARE, b"\0\0" + _short(queue) + bytes([DURABLE]) + b"\0\0\0\0"))
        answer = self._method()
        return struct.unpack_from(">I", answer, 5 + answer[4])[0]

    def purge(self, queue: str) -> None:
        self.stream.sendall(_method(PURGE, b"\0\0" + _short(queue) + b"\0"))
        self._method()

    def close(self) -> None:
        self.stream.close()

    def _method(self) -> bytes:
        """The next frame, which must be a method; a refusal is one that closes the channel or the connection."""
        _kind, _channel, size = struct.unpack(">BHI", self._exactly(7))
        payload = self._exactly(size + 1)
        if payload[:4] in (struct.pack(">HH", 10, 50), struct.pack(">HH", 20, 40)):
            raise ConnectionError(f"the broker refused: {payload!r}")
        return payload

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            parts += self._some(size - len(parts))
        return bytes(parts)

    def _some(self, most: int) -> bytes:
        part = self.stream.recv(most)
        if not part:
            raise ConnectionError("the broker closed the connection")
        return part


class Publisher(Client):
    """Publishes persistent messages and waits for every confirm."""

    def __init__(self, port: int, queue: str, size: int):
        super().__init__(port)
        self.stream.sendall(_method(CONFIRM_SELECT, b"\0"))
        self._method()
        method = _method(PUBLISH, b"\0\0" + _short("") + _short(queue) + b"\0")
        content, number_at = _content(size)
        self.columns = Columns(method + content, len(method) + number_at)
        self.sent = self.confirmed = 0
        self.rest = b""

    def publish(self, blocks: range) -> float:
        """The messages of these blocks, in order; seconds until the last one is confirmed."""
        start = time.perf_counter()
        at_once = WRITE_BYTES // self.columns.stride
        for block in blocks:
            frames = self.columns.of(block)
            for first in range(0, BLOCK, at_once):
                last = min(first + at_once, BLOCK)
                self.stream.sendall(frames[first * self.columns.stride : last * self.columns.stride])
                self.sent += last - first
                while self.sent - self.confirmed > WINDOW:
                    self._confirm()
        while self.confirmed < self.sent:
            self._confirm()
        return time.perf_counter() - start

    def _confirm(self) -> None:
        """Reads confirms. The broker tells them in order, so the last one covers all before it."""
        came = self.rest + self._some(64 * 1024)
        whole = len(came) - len(came) % 21
        self.rest = came[whole:]
        for at in range(0, whole, 21):
            kind, _channel, _size, of_class, of_method, tag, is_multiple, _end = struct.unpack_from(">BHIHHQBB", came, at)
            if (kind, (of_class, of_method)) != (1, ACK):
                raise ConnectionError(f"not a confirm: {came[at : at + 200]!r}")
            assert is_multiple or tag == self.confirmed + 1, f"{tag} is confirmed alone after {self.confirmed}"
            self.confirmed = tag


class Drainer(Client):
    """Takes numbered messages with acknowledgements, and sees to it that each is the one after the one before."""

    def __init__(self, port: int, queue: str, size: int):
        super().__init__(port)
        self.queue = queue
        method = _method(DELIVER, _short("c") + bytes(9) + _short("") + _short(queue))
        content, number_at = _content(size)
        self.frames = Columns(method + content, len(method) + number_at)
        # The tag, and whether it comes again: not the message's.
        self.own = (7 + 4 + 2, 7 + 4 + 2 + 9)
        self.next = 0
        self.tag = 0

    def consume(self, prefetch: int) -> None:
        self.stream.sendall(_method(QOS, struct.pack(">IHB", 0, prefetch, 0)))
        self._method()
        consume = b"\0\0" + _short(self.queue) + _short("c") + b"\0" + b"\0\0\0\0"
        self.stream.sendall(_method(CONSUME, consume))
        self._method()

    def drain(self, count: int) -> float:
        """Takes `count` messages more, acknowledged; seconds that it took."""
        start = time.perf_counter()
        buffer, stride, end = bytearray(), self.frames.stride, self.next + count
        while self.next < end:
            # Not beyond the last one that is wanted.
            buffer += self._some(min(READ_BYTES, (end - self.next) * stride - len(buffer)))
            whole = len(buffer) // stride
            if whole == 0:
                continue
            self._check(memoryview(buffer)[: whole * stride].tobytes(), whole)
            del buffer[: whole * stride]
            self.tag += whole
            self.stream.sendall(_method(ACK, struct.pack(">QB", self.tag, 1)))
        return time.perf_counter() - start

    def _check(self, came: bytes, count: int) -> None:
        """Holds what came against the frames of the numbers that are next."""
        at = 0
        while at < count:
            block, first = divmod(self.next, BLOCK)
            some = min(count - at, BLOCK - first)
            stride = self.frames.stride
            expected = bytearray(self.frames.of(block)[first * stride : (first + some) * stride])
            part = came[at * stride : (at + some) * stride]
            # Tag and redelivered are the delivery's.
            for column in range(*self.own):
                expected[column::stride] = part[column::stride]
            if part != bytes(expected):
                self._tell(part, some)
            at += some
            self.next += some

    def _tell(self, part: bytes, count: int) -> None:
        stride, at = self.frames.stride, self.frames.number_at
        numbers = [int.from_bytes(part[n * stride + at : n * stride + at + 8], "big") for n in range(count)]
        wrong = next((n for n in range(count) if numbers[n] != self.next + n), 0)
        raise AssertionError(f"expected {self.next + wrong}, got {numbers[wrong : wrong + 5]}: {part[wrong * stride :][:stride]!r}")
