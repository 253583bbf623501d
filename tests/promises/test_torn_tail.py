"""A power cut in the middle of a write, with the real process: what was not confirmed may go, nothing else.

Every byte of a frame and every kind of old bytes is tried in the store's own tests (`src/store/embedded/tests`);
here a few of them meet the whole broker.
"""

from __future__ import annotations

import os
import random
import shutil
import signal

import pytest

from broker import Broker
from clients.test_pika import publish
from promises.load import Worker, confirming
from promises.segments import BLOCK_BYTES, HEADER_BYTES, Frame, frames, last_segment
from promises.test_failing_disk import drained
from promises.tracing import SyncsHeld

CONFIRMED = [f"confirmed {n}" for n in range(20)]
IN_FLIGHT = "in flight " + "." * 3 * BLOCK_BYTES


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A data dir whose last frame was written and never synced: 20 confirmed messages, and one that was not."""
    folder = tmp_path_factory.mktemp("cut")
    broker = Broker(os.environ["VIADUCT_BIN"], folder)
    try:
        broker.start()
        channel = confirming(broker)
        channel.queue_declare("torn", durable=True)
        publish(channel, "torn", *(text.encode() for text in CONFIRMED))
        with SyncsHeld(broker) as held:
            worker = Worker(lambda: publish(channel, "torn", IN_FLIGHT.encode()))
            held.wait_for_sync()
            # It is gone once strace lets go of it, and has not synced.
            broker.process.send_signal(signal.SIGKILL)
        broker.kill()
        worker.join()
    finally:
        broker.close()
    return folder


@pytest.fixture
def broker(cut, tmp_path):
    """A broker on a copy of that data dir, not yet started."""
    shutil.copytree(cut / "data", tmp_path / "data", ignore=shutil.ignore_patterns("*.sock"))
    running = Broker(os.environ["VIADUCT_BIN"], tmp_path)
    try:
        yield running
    finally:
        running.close()


def whole(segment: bytes, last: Frame) -> bytes:
    return segment


def cut_off(at: int):
    return lambda segment, last: segment[: last.offset + at]


def zeros_from(at: int):
    return lambda segment, last: segment[: last.offset + at] + bytes(len(segment) - last.offset - at)


def flipped(at: int):
    def damage(segment: bytes, last: Frame) -> bytes:
        flipped = bytearray(segment)
        flipped[last.offset + at] ^= 1
        return bytes(flipped)

    return damage


def an_old_frame_from(at: int):
    """From `at` on stands what the file held before: an older frame of the same log, as a recycled segment has."""

    def damage(segment: bytes, last: Frame) -> bytes:
        old = segment[BLOCK_BYTES : last.offset]
        torn = segment[: last.offset + at] + old[at:]
        return torn + segment[len(torn) :]

    return damage


def noise_after(segment: bytes, last: Frame) -> bytes:
    noise = random.Random(1).randbytes(64 * BLOCK_BYTES)
    return segment[: last.end] + noise + segment[last.end + len(noise) :]


# What was done to the segment, and whether the frame that was in flight is still whole.
DAMAGES = {
    "untouched": (whole, True),
    "cut off in its header": (cut_off(40), False),
    "cut off in its records": (cut_off(BLOCK_BYTES + 7), False),
    "cut off in its padding": (lambda segment, last: segment[: last.offset + last.length], True),
    "a sector of its header": (zeros_from(HEADER_BYTES // 2), False),
    "one block of four": (zeros_from(BLOCK_BYTES), False),
    "a flipped bit": (flipped(3 * BLOCK_BYTES), False),
    "an old frame in its place": (an_old_frame_from(0), False),
    "old bytes behind its first block": (an_old_frame_from(BLOCK_BYTES), False),
    "noise behind it": (noise_after, True),
}


@pytest.mark.parametrize("damage, is_whole", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_torn_frame_takes_nothing_with_it(broker, damage, is_whole):
    path = last_segment(broker.data_dir)
    segment = path.read_bytes()
    path.write_bytes(damage(segment, frames(segment)[-1]))
    broker.start()
    # It goes on from there, and the next start finds the old and the new.
    publish(confirming(broker), "torn", b"after")
    broker.restart("SIGKILL")
    assert drained(broker, "torn") == [*CONFIRMED, *([IN_FLIGHT] if is_whole else []), "after"]
    assert "panic" not in broker.log()
