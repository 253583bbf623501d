"""What is compared: one table of scenarios, each with the goals that it must meet.

The peers' reference figures come from an earlier measurement with another generator on a quiet machine of the same kind
(2 virtual cores, Debian 12, RabbitMQ 3.10.8, nats-server 2.9.10, moto_server), as medians of three interleaved rounds.
They are no goals. They tell whether a machine is quiet enough now for a ratio to mean something: see `rounds.validity`.
"""

from __future__ import annotations

import dataclasses

# One-way sink over loopback at 1 KiB, 64 messages a write, messages a second, when the references were measured.
REFERENCE_SINK = 2_400_000
# What a run must reach of a reference, scaled by its own sink.
NEEDED_OF_REFERENCE = 0.8

RECEIVED = "received_per_second"
# Of durable messages what is promised is the confirm; what was received before it may yet be lost.
CONFIRMED = "confirmed_per_second"
CPU = "broker_cpu_us_per_message"


@dataclasses.dataclass(frozen=True)
class Reference:
    """A peer's figure on a quiet machine: a rate must be reached from below, a time from above."""

    metric: str
    value: float

    @property
    def is_rate(self) -> bool:
        return self.metric.endswith("_per_second")


@dataclasses.dataclass(frozen=True)
class Goal:
    """A metric of the generator's JSON, and what it must be: a ratio to the peer's, or by itself without a peer."""

    name: str
    title: str
    metric: str
    at_least: float | None = None
    at_most: float | None = None
    peer: str | None = None
    reference: Reference | None = None

    def is_met_by(self, value: float) -> bool:
        return value >= self.at_least if self.at_least is not None else value <= self.at_most


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One way to use a broker: the options of the generator, the same for everybody, and the goals read off it."""

    name: str
    # The generator for Viaduct; a peer speaks what its broker speaks.
    protocol: str
    options: tuple[str, ...]
    goals: tuple[Goal, ...]

    @property
    def peers(self) -> list[str]:
        """Peers in the order of the goals, each once."""
        return list(dict.fromkeys(goal.peer for goal in self.goals if goal.peer))


def rate(name: str, title: str, times: float, peer: str, reference: float) -> Goal:
    """Viaduct receives so many times as many messages a second as the peer."""
    return Goal(name, title, RECEIVED, at_least=times, peer=peer, reference=Reference(RECEIVED, reference))


def confirmed(name: str, title: str, times: float, peer: str, reference: float) -> Goal:
    """Viaduct confirms so many times as many messages a second as the peer; all of them are received, too."""
    return Goal(name, title, CONFIRMED, at_least=times, peer=peer, reference=Reference(RECEIVED, reference))


def share(name: str, title: str, metric: str, times: float, reference: Reference, peer: str = "rabbitmq") -> Goal:
    """Viaduct needs at most so much of what the peer needs."""
    return Goal(name, title, metric, at_most=times, peer=peer, reference=reference)


def options(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ONE_KIB = "--size 1024 --in-flight 2000"
# Persistent messages, confirms, and acknowledgements with room for everything that is in flight.
DURABLE = f"{ONE_KIB} --durable --prefetch 2000"

SCENARIOS = (
    Scenario(
        "transient",
        "amqp",
        options(ONE_KIB),
        (
            rate("transient", "1 KiB transient, 1 + 1", 7, "rabbitmq", 59_700),
            rate("nats", "1 KiB transient, 1 + 1", 0.8, "nats", 506_000),
            share(
                "cpu-transient", "the same, broker CPU a message", CPU, 0.1, Reference(RECEIVED, 59_700)
            ),
        ),
    ),
    Scenario(
        "four",
        "amqp",
        options(f"{ONE_KIB} --producers 4 --consumers 4"),
        (rate("four", "1 KiB transient, 4 + 4 on one queue", 7, "rabbitmq", 64_700),),
    ),
    Scenario(
        "flush",
        "amqp",
        options(f"{ONE_KIB} --flush 1"),
        (rate("flush", "1 KiB transient, one write a message", 1.8, "rabbitmq", 54_400),),
    ),
    Scenario(
        "acks",
        "amqp",
        options(f"{ONE_KIB} --prefetch 20"),
        (rate("acks", "1 KiB transient, acks, prefetch 20", 5, "rabbitmq", 24_600),),
    ),
    Scenario(
        "small",
        "amqp",
        # With 2,000 in flight the generator's own wake-ups are what limits here.
        options("--size 16 --in-flight 20000"),
        (rate("small", "16 B transient, 1 + 1", 20, "rabbitmq", 69_000),),
    ),
    Scenario(
        "window-1000",
        "amqp",
        options(f"{DURABLE} --confirm-window 1000"),
        (
            confirmed("window-1000", "1 KiB durable, confirms at window 1000", 10, "rabbitmq", 19_400),
            share("cpu-durable", "the same, broker CPU a message", CPU, 0.1, Reference(RECEIVED, 19_400)),
        ),
    ),
    Scenario(
        "window-100",
        "amqp",
        options(f"{DURABLE} --confirm-window 100"),
        (confirmed("window-100", "1 KiB durable, confirms at window 100", 5, "rabbitmq", 20_900),),
    ),
    Scenario(
        "window-1",
        "amqp",
        options(f"{DURABLE} --confirm-window 1"),
        (confirmed("window-1", "1 KiB durable, confirms at window 1", 1.4, "rabbitmq", 1_700),),
    ),
    Scenario(
        "confirm",
        "amqp",
        options(f"{DURABLE} --confirm-window 1000 --rate 2000"),
        (
            share(
                "confirm-p50",
                "durable confirm at 2,000 msg/s, p50",
                "confirm_us.p50",
                0.55,
                Reference("confirm_us.p50", 909),
            ),
            share(
                "confirm-p99",
                "durable confirm at 2,000 msg/s, p99",
                "confirm_us.p99",
                0.5,
                Reference("confirm_us.p99", 2523),
            ),
        ),
    ),
    Scenario(
        "sqs",
        "sqs",
        # moto_server's calls take the longer the more messages a queue holds: with few in flight it does its best.
        options("--size 1024 --in-flight 100 --batch 10"),
        (rate("sqs", "SQS, 1 KiB, batches of 10, durable", 60, "moto", 99),),
    ),
    Scenario(
        "sqs-latency",
        "sqs",
        options(f"{ONE_KIB} --batch 10 --rate 2000"),
        (Goal("sqs-latency", "SQS end to end at 2,000 msg/s, p99", "end_to_end_us.p99", at_most=10_000),),
    ),
    Scenario(
        "sqs-wake-up",
        "sqs",
        options("--size 1024 --long-poll"),
        (Goal("sqs-wake-up", "SQS wake-up of a long poll, p50", "end_to_end_us.p50", at_most=2_000),),
    ),
)
