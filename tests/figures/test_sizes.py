"""What very many queues and bindings take in the real process, and how long it takes to start with them.

tests/size holds the same by the piece, at a tenth of it, in every run. Here is the whole, as a system sees it.
"""

from __future__ import annotations

import time
import urllib.request

import pytest

from broker import Broker
from compare.processes import resident_bytes
from figures.starting import start
from figures.topology import Declarer

QUEUES, QUEUE_BYTES, RESTART_SECONDS = 100_000, 2 * 1024, 3
PAGES, PAGE_SECONDS = 10, 0.05
BINDINGS, BINDING_BYTES = 1_000_000, 250
# The library of the checkpoint, buffers of the log and what the allocator holds back: whatever there is of them.
FIXED_BYTES = 64 * 1024 * 1024
# A checkpoint comes after 30 s at the latest, and takes this long with a million bindings.
CHECKPOINT_SECONDS = 40


def declared(broker: Broker, what, most: int, count: int) -> None:
    """Tells the broker `what`, and holds it to `most` bytes for each of `count` once a checkpoint was made."""
    before = resident_bytes(broker.process.pid)
    begun = time.monotonic()
    declarer = Declarer(broker.amqp_port)
    what(declarer)
    declarer.close()
    print(f"told in {time.monotonic() - begun:.1f} s")
    time.sleep(CHECKPOINT_SECONDS)
    assert_small(broker, before, most, count)
    for how in ("SIGKILL", "SIGTERM"):
        broker.stop() if how == "SIGTERM" else broker.kill()
        took, ready = start(broker)
        print(f"ready {ready:.1f} s ({took:.1f} s) after {how}")
        assert_small(broker, before, most, count)


def assert_small(broker: Broker, before: int, most: int, count: int) -> None:
    grown = resident_bytes(broker.process.pid) - before
    print(f"{grown / count:.0f} bytes of resident memory each")
    assert grown <= most * count + FIXED_BYTES


def assert_page_is_quick(broker: Broker) -> None:
    """The page of metrics, at its best of a few: what else runs on the machine is not its doing."""
    seconds = []
    for _ in range(PAGES):
        begun = time.perf_counter()
        urllib.request.urlopen(broker.metrics_url).read()
        seconds.append(time.perf_counter() - begun)
    print(f"page of metrics in {min(seconds) * 1000:.0f} ms to {max(seconds) * 1000:.0f} ms")
    assert min(seconds) <= PAGE_SECONDS


@pytest.mark.long
def test_100_000_queues_take_2_kib_each_and_start_within_3_s(own):
    names = [f"queue-{n:06}" for n in range(QUEUES)]
    declared(own, lambda declarer: declarer.declare(names), QUEUE_BYTES, QUEUES)
    assert_page_is_quick(own)
    own.kill()
    took, ready = start(own)
    print(f"ready {ready:.2f} s ({took:.2f} s) after SIGKILL")
    assert ready <= RESTART_SECONDS
    begun = time.monotonic()
    declarer = Declarer(own.amqp_port)
    declarer.delete(names)
    declarer.close()
    print(f"deleted in {time.monotonic() - begun:.1f} s")
    own.restart("SIGKILL")
    assert resident_bytes(own.process.pid) <= FIXED_BYTES


@pytest.mark.long
def test_a_million_bindings_by_topic_take_250_bytes_each_beside_their_key(own):
    key = "device.{:07}.temperature".format

    def bind(declarer: Declarer) -> None:
        declarer.declare(f"queue-{n}" for n in range(16))
        declarer.bind("amq.topic", ((f"queue-{n % 16}", key(n)) for n in range(BINDINGS)))

    declared(own, bind, BINDING_BYTES + len(key(0)), BINDINGS)
