"""Just enough of an AMQP 0-9-1 client to open a connection and leave it idle: blocking, without a library."""

from __future__ import annotations

import socket
import struct

GREETING = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = 1
LARGEST_FRAME = 128 * 1024
# Class 10 is `connection`; its methods by number.
START, START_OK, TUNE, TUNE_OK, OPEN, OPEN_OK = 10, 11, 30, 31, 40, 41


def connect(port: int, seconds: float = 10) -> socket.socket:
    """An open connection of user guest without heartbeats; raises ConnectionError or OSError."""
    stream = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    try:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.sendall(GREETING)
        expect(stream, START)
        _send(stream, START_OK, _table() + _short("PLAIN") + _long("\0guest\0guest") + _short("en_US"))
        channels, frame_max, _heartbeat = struct.unpack(">HIH", expect(stream, TUNE))
        # A client that asks for no heartbeats is never woken, and wakes nobody: idle is idle.
        tune_ok = struct.pack(">HIH", channels, frame_max, 0)
        open_ = _short("/") + _short("") + b"\x00"
        stream.sendall(_frame(TUNE_OK, tune_ok) + _frame(OPEN, open_))
        expect(stream, OPEN_OK)
    except BaseException:
        stream.close()
        raise
    return stream


def _table() -> bytes:
    return struct.pack(">I", 0)


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _long(text: str) -> bytes:
    return struct.pack(">I", len(text)) + text.encode()


def _frame(method: int, arguments: bytes) -> bytes:
    payload = struct.pack(">HH", 10, method) + arguments
    return struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce"


def _send(stream: socket.socket, method: int, arguments: bytes) -> None:
    stream.sendall(_frame(method, arguments))


def expect(stream: socket.socket, method: int) -> bytes:
    """The arguments of the next frame, which must be that method of class `connection`."""
    kind, _channel, size = struct.unpack(">BHI", _exactly(stream, 7))
    # A greeting of another version, read as a frame, would be 1.3 GiB of payload.
    if kind != METHOD_FRAME or size > LARGEST_FRAME:
        raise ConnectionError(f"frame {kind} of {size} bytes instead of connection method {method}")
    payload = _exactly(stream, size + 1)
    found = struct.unpack(">HH", payload[:4])
    if found != (10, method):
        raise ConnectionError(f"method {found} instead of connection method {method}")
    return payload[4:-1]


def _exactly(stream: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = stream.recv(size - len(parts))
        if not part:
            raise ConnectionError("the broker closed the connection")
        parts += part
    return bytes(parts)
