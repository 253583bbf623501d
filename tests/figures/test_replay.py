"""How fast a start reads its log, beside what the disk gives to somebody who only reads it, front to back.

Before each reading the system is asked to drop what it has of the files (`posix_fadvise`), so that it is the disk that
answers. The start reads every message once, whatever the checkpoint knows, and is ready when a client can log in.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import time

import pytest

from broker import Broker
from figures.backlog import BLOCK
from figures.backlog import Publisher

RATIO = 0.5
SIZE, BLOCKS, ROUNDS = 1024, 32, 3
READ_BYTES = 1 << 20


def files_of(broker: Broker) -> list[pathlib.Path]:
    """Everything that a start reads: the log's segments and the checkpoint."""
    segments = sorted((broker.data_dir / "log").glob("*.seg"))
    return segments + sorted(broker.data_dir.glob("checkpoint.*"))


def forget(files: list[pathlib.Path]) -> None:
    """Has the system drop its pages of these files, which are written out before."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(files: list[pathlib.Path]) -> float:
    """Reads them one after the other; seconds."""
    start = time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            buffer = bytearray(READ_BYTES)
            while file.readinto(buffer):
                pass
    return time.perf_counter() - start


@pytest.mark.long
def test_a_start_reads_its_log_at_half_the_speed_of_the_disk_at_least(own):
    publisher = Publisher(own.amqp_port, "replayed", SIZE)
    publisher.declare("replayed")
    publisher.publish(range(BLOCKS))
    publisher.close()
    ratios = []
    for _ in range(ROUNDS):
        own.kill()
        files = files_of(own)
        size = sum(path.stat().st_size for path in files)
        forget(files)
        alone = read(files)
        again = read(files)
        forget(files)
        start = time.perf_counter()
        own.start()
        ready = time.perf_counter() - start
        ratios.append(alone / ready)
        print(
            f"{size / 1e9:.2f} GB: read in {alone:.2f} s ({size / alone / 1e6:.0f} MB/s; {size / again / 1e6:.0f} MB/s "
            f"out of memory), started in {ready:.2f} s ({size / ready / 1e6:.0f} MB/s), {alone / ready:.2f}x"
        )
    client = Publisher(own.amqp_port, "replayed", SIZE)
    assert client.declare("replayed") == BLOCKS * BLOCK
    client.close()
    assert statistics.median(ratios) >= RATIO
