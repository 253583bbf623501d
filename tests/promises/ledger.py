"""What every client was told of every message, and whether the broker has kept its word."""

from __future__ import annotations

import collections
import threading
import time
import zlib
from typing import NamedTuple

# Largest padding of a body: several messages a block, and bodies over a block.
PADDING_BYTES = 6000


def text_of(key: str) -> str:
    """The body of a message, which can be told from a damaged one: its length follows from its key."""
    return f"{key} " + "." * (zlib.crc32(key.encode()) % PADDING_BYTES)


class Delivery(NamedTuple):
    """A message that reached a client."""

    key: str
    queue: str
    # basic.deliver rather than ReceiveMessage.
    by_amqp: bool
    # No `redelivered`, or a count of 1.
    says_first: bool
    # Start of the broker in which it came, and when.
    life: int
    at: float


class Ledger:
    """Kept by all threads of a test over all lives of the broker."""

    def __init__(self, dead_letters: str):
        """`dead_letters` is the queue that messages are moved into."""
        self.dead_letters = dead_letters
        self.lock = threading.Lock()
        self.life = 0
        self.confirmed: set[str] = set()
        self.deliveries: list[Delivery] = []
        # Settled for good, as far as the client could tell: sent, not necessarily heard.
        self.accepted: set[str] = set()
        # DeleteMessage was answered, in this life.
        self.deleted: dict[str, int] = {}
        # Life → up to when everything that happened in it is known to be on disk.
        self.written: dict[int, float] = {}
        self.counts: collections.Counter[str] = collections.Counter()

    def promise(self, asked_at: float) -> None:
        """A promise was answered. The log keeps its order, so all that happened before it was asked is written."""
        with self.lock:
            self.written[self.life] = max(self.written.get(self.life, 0), asked_at)

    def confirm(self, key: str, asked_at: float) -> None:
        self.promise(asked_at)
        with self.lock:
            self.confirmed.add(key)

    def deliver(self, queue: str, text: str, *, by_amqp: bool, says_first: bool) -> str:
        """Notes a delivery, before anything is answered to it, and returns the message's key."""
        key = text.partition(" ")[0]
        assert text == text_of(key), f"not what was sent: {text[:80]}"
        with self.lock:
            self.deliveries.append(Delivery(key, queue, by_amqp, says_first, self.life, time.monotonic()))
        return key

    def accept(self, *keys: str) -> None:
        """Before an ack or a DeleteMessage is sent: from here on the message may be gone."""
        with self.lock:
            self.accepted.update(keys)

    def delete(self, *keys: str) -> None:
        """After DeleteMessage was answered: from here on it must be gone."""
        with self.lock:
            for key in keys:
                self.deleted.setdefault(key, self.life)

    def did(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    # --- judgement --------------------------------------------------------------------------

    def check(self, left: list[Delivery]) -> None:
        """Judges everything, `left` being all that was in the broker at the end."""
        faults = [*self.lost(left), *self.back(left), *self.twice_unsaid(left), *self.doubled(left)]
        assert not faults, f"{len(faults)} broken promises: {faults[:20]}"

    def lost(self, left: list[Delivery]) -> list[str]:
        there = {delivery.key for delivery in left}
        return [f"lost: {key}" for key in sorted(self.confirmed - self.accepted - there)]

    def back(self, left: list[Delivery]) -> list[str]:
        later = (d for d in [*self.deliveries, *left] if self.deleted.get(d.key, d.life) < d.life)
        return [f"deleted in life {self.deleted[d.key]}, here again: {d}" for d in later]

    def twice_unsaid(self, left: list[Delivery]) -> list[str]:
        """Deliveries that claim to be the first of a message from a queue, and are not."""
        told = collections.defaultdict(list)
        for delivery in [*self.deliveries, *left]:
            told[delivery.key, delivery.queue].append(delivery)
        return [f"not the first: {all_of}" for all_of in told.values() if self.is_misled(all_of)]

    def is_misled(self, told: list[Delivery]) -> bool:
        """Whether a delivery of a message from a queue is wrong about being the first.

        After a kill every message counts as delivered by AMQP, whose leases are in no log; a receive count knows
        what was received and written. A dead letter that was delivered before its move was written is moved again.
        """
        claims = [delivery for delivery in told if delivery.says_first]
        lives = collections.Counter(claim.life for claim in claims)
        pairs = [(claim, earlier) for claim in claims for earlier in told if earlier.life < claim.life]
        return any(times > 1 for times in lives.values()) or any(self.should_know(*pair) for pair in pairs)

    def should_know(self, claim: Delivery, earlier: Delivery) -> bool:
        """Whether a delivery has to know of one in an earlier life."""
        is_written = earlier.at <= self.written.get(earlier.life, 0)
        if claim.by_amqp:
            return is_written or claim.queue != self.dead_letters
        return is_written and not earlier.by_amqp

    def doubled(self, left: list[Delivery]) -> list[str]:
        """A dead letter is moved, not copied; and what was sent once is there once."""
        places = collections.Counter(d.key for d in left)
        return [f"there {times} times: {key}" for key, times in places.items() if times > 1]

    def summary(self) -> str:
        redelivered = sum(not d.says_first for d in self.deliveries)
        return (
            f"{len(self.confirmed)} messages confirmed, {len(self.deliveries)} deliveries ({redelivered} again), "
            f"{len(self.deleted)} deletes answered, " + ", ".join(f"{n} {what}" for what, n in sorted(self.counts.items()))
        )
