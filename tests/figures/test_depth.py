"""One queue with ten and with a hundred million messages, in the real process: memory, rates, a start after a kill.

Rates are held against those of a second broker in the same minute, whose queue is never deep: what else the machine does
falls on both. Nothing is lost, nothing comes twice, and the order holds over the kill.
"""

from __future__ import annotations

import os
import pathlib
import threading

import pytest

from broker import Broker
from figures.backlog import BLOCK
from figures.backlog import Drainer
from figures.backlog import Publisher
from figures.starting import start

SIZE, QUEUE = 100, "deep"
MEMORY_BYTES = 400_000_000
PUBLISH_RATIO, DRAIN_RATIO, READY_SECONDS = 0.7, 0.5, 5
PREFETCH = 5_000
ROUNDS = 38
# Blocks of a round of the queue that is not deep: 26 MB of bodies, and none of them leaves memory.
SHALLOW = 4


# A hundred takes 17 GB on the disk; where there is less, VIADUCT_DEEPEST says how many millions it is to be.
DEEPEST = int(os.environ.get("VIADUCT_DEEPEST", "100"))


class Memory:
    """Watches what a process has resident, while it lasts: the most of it."""

    def __init__(self, broker: Broker):
        self.status = pathlib.Path(f"/proc/{broker.process.pid}/status")
        self.most = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self.over.wait(0.1):
            self.most = max(self.most, self.now())

    def now(self) -> int:
        line = next(line for line in self.status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def __enter__(self) -> Memory:
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()


@pytest.fixture
def brokers(tmp_path):
    """The one whose queue becomes deep, and the other."""
    made = [Broker(os.environ["VIADUCT_BIN"], tmp_path / name) for name in ("deep", "shallow")]
    try:
        for broker in made:
            broker.data_dir.parent.mkdir()
            broker.start()
        yield made
    finally:
        for broker in made:
            broker.close()


class Rates:
    """Messages and seconds of the deep queue and of the other, by round."""

    def __init__(self, what: str):
        self.what = what
        self.deep: list[tuple[int, float]] = []
        self.shallow: list[tuple[int, float]] = []

    def ratio(self) -> float:
        """By the rounds' rates in the middle: a burst of somebody else's work is not ours."""
        deep, shallow = (sorted(count / seconds for count, seconds in of) for of in (self.deep, self.shallow))
        middle = len(deep) // 2
        print(
            f"{self.what}: deep {deep[middle]:,.0f} ({deep[0]:,.0f}-{deep[-1]:,.0f}) messages a second, "
            f"shallow {shallow[middle]:,.0f} ({shallow[0]:,.0f}-{shallow[-1]:,.0f}), {deep[middle] / shallow[middle]:.2f}x"
        )
        return deep[middle] / shallow[middle]


def fill(brokers: list[Broker], blocks: int) -> float:
    """Publishes to the deep queue, and in between to one that is emptied each time; how the rates compare."""
    deep, shallow = (Publisher(broker.amqp_port, QUEUE, SIZE) for broker in brokers)
    rates = Rates("publish")
    for publisher in (deep, shallow):
        publisher.declare(QUEUE)
    for n in range(ROUNDS):
        some = range(blocks * n // ROUNDS, blocks * (n + 1) // ROUNDS)
        rates.deep.append((len(some) * BLOCK, deep.publish(some)))
        rates.shallow.append((SHALLOW * BLOCK, shallow.publish(range(SHALLOW))))
        shallow.purge(QUEUE)
    for publisher in (deep, shallow):
        publisher.close()
    return rates.ratio()


def drain(brokers: list[Broker], blocks: int) -> float:
    """Takes everything out of the deep queue, and in between from one that is filled each time; how the rates compare."""
    deep = Drainer(brokers[0].amqp_port, QUEUE, SIZE)
    deep.consume(PREFETCH)
    shallow = Publisher(brokers[1].amqp_port, QUEUE, SIZE)
    rates = Rates("drain")
    for n in range(ROUNDS):
        some = (blocks * (n + 1) // ROUNDS - blocks * n // ROUNDS) * BLOCK
        rates.deep.append((some, deep.drain(some)))
        shallow.publish(range(SHALLOW))
        taker = Drainer(brokers[1].amqp_port, QUEUE, SIZE)
        taker.consume(PREFETCH)
        rates.shallow.append((SHALLOW * BLOCK, taker.drain(SHALLOW * BLOCK)))
        taker.close()
    assert deep.declare(QUEUE) == 0
    deep.close()
    shallow.close()
    return rates.ratio()


@pytest.mark.long
@pytest.mark.parametrize("millions", [10, DEEPEST])
def test_a_queue_of_so_many_millions_keeps_its_memory_its_rates_and_its_start(brokers, millions):
    blocks = -(-millions * 1_000_000 // BLOCK)
    broker = brokers[0]
    with Memory(broker) as memory:
        published = fill(brokers, blocks)
    print(f"published {blocks * BLOCK:,}: {memory.most / 1e6:.0f} MB resident at most, {memory.now() / 1e6:.0f} MB now")
    broker.kill()
    took, ready = start(broker)
    with Memory(broker) as memory_later:
        print(f"ready {ready:.2f} s ({took:.2f} s) after SIGKILL, {memory_later.now() / 1e6:.0f} MB resident")
        drained = drain(brokers, blocks)
    print(f"drained: {memory_later.most / 1e6:.0f} MB resident at most, {memory_later.now() / 1e6:.0f} MB now")
    assert max(memory.most, memory_later.most) <= MEMORY_BYTES
    assert published >= PUBLISH_RATIO
    assert drained >= DRAIN_RATIO
    assert millions > 10 or ready <= READY_SECONDS
