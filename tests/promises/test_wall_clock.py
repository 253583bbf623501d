"""The wall clock jumps by an hour, under a real broker: nothing is late and nothing is early (DESIGN §2, rule 6).

Core time is the wall clock at the start plus the monotonic time since, and never below the last time in the log.
libfaketime moves only the wall clock of the broker; the monotonic clock stays what it is, as the kernel has it.
"""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import time

import botocore.auth
import pytest

from broker import Broker, wait_until
from clients.test_boto3 import create, receive
from clients.test_dead_letters import dead_lettering_to
from clients.test_pika import PERSISTENT, get, publish
from conftest import sqs_client
from promises.load import confirming

HOUR = 3600
# What is due must not come before, nor later than a busy machine explains.
DUE_SECONDS = 2
LATE_SECONDS = 8
# How far a timestamp may be from what this process sees, jumps apart.
NEAR_MS = 60_000


def faketime_library() -> str:
    """The library that Debian's program would load; `$LIB` in it is for the dynamic linker."""
    environment = subprocess.check_output(["faketime", "-m", "-f", "+0", "env"], text=True)
    return re.search(r"^LD_PRELOAD=(.*)$", environment, re.MULTILINE)[1]


class Skewed:
    """A broker with a wall clock that a test sets, and clients who sign by that clock."""

    def __init__(self, folder, monkeypatch):
        self.offset_path = folder / "offset"
        self.jump(0)
        faked = {
            "LD_PRELOAD": faketime_library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.offset_path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self.broker = Broker(os.environ["VIADUCT_BIN"], folder, environment=faked)
        real = botocore.auth.get_current_datetime
        ours = lambda *arguments, **named: real(*arguments, **named) + datetime.timedelta(seconds=self.offset)
        monkeypatch.setattr(botocore.auth, "get_current_datetime", ours)

    def jump(self, offset: int) -> None:
        """Puts the wall clock this many seconds off; whole or not at all, for the broker reads it all the time."""
        self.offset = offset
        new = self.offset_path.with_suffix(".new")
        new.write_text(f"{offset:+d}\n")
        new.replace(self.offset_path)


@pytest.fixture
def skewed(tmp_path, monkeypatch):
    clock = Skewed(tmp_path, monkeypatch)
    try:
        clock.broker.start()
        yield clock
        assert "panic" not in clock.broker.log()
    finally:
        clock.broker.close()


class Timers:
    """One of each timer, all started now: some due in a moment, some in ten minutes."""

    def __init__(self, broker: Broker, name: str):
        self.broker, self.name = broker, name
        self.channel, self.sqs = confirming(broker), sqs_client(broker)
        self.expired = f"{name}-expired"
        self.channel.queue_declare(self.expired, durable=True)
        self.channel.queue_declare(f"{name}-kept", durable=True, arguments={"x-message-ttl": 600_000})
        self.urls = {}
        for what in ("hidden", "hidden-long", "delayed", "delayed-long"):
            self.urls[what] = create(self.sqs, f"{name}-{what}")
        due = dead_lettering_to(self.expired, **{"x-message-ttl": DUE_SECONDS * 1000})
        self.channel.queue_declare(f"{name}-due", durable=True, arguments=due)
        publish(self.channel, f"{name}-kept", b"kept")
        self.send("hidden")
        self.send("hidden-long")
        self.hide("hidden-long", 600)
        self.send("delayed-long", DelaySeconds=600)
        # The short ones last. Each time is taken before its request and after: it begins in between.
        self.begun = {}
        for what, begin in (
            ("hidden", lambda: self.hide("hidden", DUE_SECONDS)),
            ("expired", lambda: publish(self.channel, f"{name}-due", b"due")),
            ("delayed", lambda: self.send("delayed", DelaySeconds=DUE_SECONDS)),
        ):
            before = time.monotonic()
            begin()
            self.begun[what] = (before, time.monotonic())

    def send(self, what: str, **more) -> None:
        self.sqs.send_message(QueueUrl=self.urls[what], MessageBody=what, **more)

    def hide(self, what: str, seconds: int) -> None:
        assert receive(self.sqs, self.urls[what], VisibilityTimeout=seconds)

    def arrives(self, what: str) -> bool:
        if what == "expired":
            return self.channel.basic_get(self.expired, auto_ack=True)[0] is not None
        return bool(receive(self.sqs, self.urls[what], WaitTimeSeconds=0))

    def assert_short_ones_are_on_time(self) -> None:
        for what in ("expired", "delayed", "hidden"):
            self.assert_on_time(what)

    def assert_on_time(self, what: str) -> None:
        """It comes after its time, and soon after."""
        started, known = self.begun[what]
        wait_until(f"{what} comes", lambda: self.arrives(what), DUE_SECONDS + LATE_SECONDS)
        now = time.monotonic()
        assert now - started >= DUE_SECONDS, f"{what} after {now - started:.2f} s"
        assert now - known <= DUE_SECONDS + LATE_SECONDS

    def assert_long_ones_wait(self) -> None:
        assert self.channel.queue_declare(f"{self.name}-kept", passive=True).method.message_count == 1
        for what in ("hidden-long", "delayed-long"):
            assert receive(self.sqs, self.urls[what], WaitTimeSeconds=0) == []

    def reconnect(self) -> None:
        self.channel, self.sqs = confirming(self.broker), sqs_client(self.broker)


@pytest.mark.parametrize("offset", [HOUR, -HOUR], ids=["ahead", "back"])
def test_a_jump_changes_no_timer(skewed, name, offset):
    timers = Timers(skewed.broker, name)
    skewed.jump(offset)
    timers.assert_long_ones_wait()
    timers.assert_short_ones_are_on_time()
    # And what begins after the jump takes its time as well.
    again = Timers(skewed.broker, f"{name}-again")
    again.assert_short_ones_are_on_time()
    again.assert_long_ones_wait()
    timers.assert_long_ones_wait()


def stamps(sqs, url: str) -> tuple[str, int, int]:
    """Sends and receives a message: its id, when it was sent and when it was first received, in ms."""
    sent = sqs.send_message(QueueUrl=url, MessageBody="stamped")
    (message,) = receive(sqs, url)
    attributes = message["Attributes"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert sent["MessageId"] == message["MessageId"]
    return message["MessageId"], int(attributes["SentTimestamp"]), int(attributes["ApproximateFirstReceiveTimestamp"])


def test_timestamps_do_not_follow_a_jump_and_ids_stay_unique(skewed, name):
    sqs = sqs_client(skewed.broker)
    url = create(sqs, name)
    ids, last = set(), 0
    for offset in (0, HOUR, -HOUR, 0):
        skewed.jump(offset)
        for _ in range(5):
            identity, sent, received = stamps(sqs, url)
            assert last <= sent <= received and abs(sent - time.time() * 1000) < NEAR_MS
            ids.add(identity)
            last = received
    assert len(ids) == 20


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_time_goes_on_from_the_log_when_the_clock_was_set_back_meanwhile(skewed, name, how):
    sqs = sqs_client(skewed.broker)
    url = create(sqs, f"{name}-stamped")
    before = stamps(sqs, url)
    timers = Timers(skewed.broker, name)
    skewed.jump(-HOUR)
    skewed.broker.restart(how)
    timers.reconnect()
    # An hour back by the wall clock, and yet nothing is an hour late.
    timers.assert_short_ones_are_on_time()
    timers.assert_long_ones_wait()
    after = stamps(timers.sqs, url)
    assert after[1] >= before[2] and after[0] != before[0], "never below the last time in the log"
    assert abs(after[1] - time.time() * 1000) < NEAR_MS


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_clock_that_was_an_hour_ahead_and_is_right_again_stops_nothing(skewed, name, how):
    """A start an hour ahead is an hour of absence to the broker; the start after it goes on from there."""
    name = name[-32:]  # SQS allows 80 characters
    channel, sqs = confirming(skewed.broker), sqs_client(skewed.broker)
    for minutes in (30, 120):
        arguments = dead_lettering_to(f"{name}-dead", **{"x-message-ttl": minutes * 60_000})
        channel.queue_declare(f"{name}-{minutes}", durable=True, arguments=arguments)
        channel.basic_publish("", f"{name}-{minutes}", f"{minutes}".encode(), PERSISTENT, mandatory=True)
    url = create(sqs, f"{name}-stamped")
    channel.queue_declare(f"{name}-dead", durable=True)
    skewed.jump(HOUR)
    skewed.broker.restart(how)
    ahead = stamps(sqs_client(skewed.broker), url)
    assert abs(ahead[1] - (time.time() + HOUR) * 1000) < NEAR_MS
    assert get(confirming(skewed.broker), f"{name}-dead")[2] == b"30"
    skewed.jump(0)
    skewed.broker.restart(how)
    timers = Timers(skewed.broker, f"{name}-timers")
    timers.assert_short_ones_are_on_time()
    timers.assert_long_ones_wait()
    assert stamps(timers.sqs, url)[1] >= ahead[2], "never below the last time in the log"
    assert get(timers.channel, f"{name}-120")[2] == b"120"
