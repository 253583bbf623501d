"""How long a start takes, and how much of that the machine gave to others."""

from __future__ import annotations

import pathlib
import time

from broker import Broker


def start(broker: Broker) -> tuple[float, float]:
    """Starts a broker; seconds until it is healthy, all of them and without those that its threads waited for a processor.

    A start is the work of one thread: the one that waited longest held it up.
    """
    begun = time.monotonic()
    broker.start()
    ready = time.monotonic() - begun
    threads = pathlib.Path(f"/proc/{broker.process.pid}/task").glob("*/schedstat")
    waited = max(int(path.read_text().split()[1]) for path in threads) / 1e9
    return ready, ready - waited
