"""Disk that comes back: little lives of a log that much went through, and what is purged or deleted is gone.

Traffic comes from `viaduct bench`; what the files take is asked of the file system.
"""

from __future__ import annotations

import pathlib
import subprocess

import pika
import pytest

from broker import Broker, wait_until
from promises.tracing import metric

# What the log may take beside what lives (DESIGN §4), within a minute of quiet.
FACTOR, BESIDE, WITHIN_SECONDS = 2.5, 512 << 20, 60
# What goes through the log: more than twice what it may keep.
TRAFFIC = 2 << 30
LONG_TRAFFIC = 50 << 30
BODY = 64 * 1024
BURST_SECONDS = 4


@pytest.fixture
def broker(own):
    """A broker of its own: what its files take is counted."""
    return own


def bench(broker: Broker, *options: str) -> None:
    """Durable traffic with confirms, of `BURST_SECONDS`."""
    load = ["--durable", "--confirm-window", "200", "--size", str(BODY)]
    time = ["--duration", str(BURST_SECONDS), "--warmup", "0", "--no-progress"]
    command = [broker.binary, "bench", "amqp", *load, *time, *options, broker.amqp_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def written(broker: Broker) -> float:
    return metric(broker, "viaduct_log_record_bytes_total")


def on_disk(broker: Broker) -> int:
    """Bytes that the log's files take."""
    files = list((broker.data_dir / "log").iterdir())
    return sum(size_of(file) for file in files)


def size_of(file: pathlib.Path) -> int:
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:  # it was recycled meanwhile
        return 0


def comes_back(broker: Broker, live: int) -> None:
    most = FACTOR * live + BESIDE
    wait_until(f"the log takes at most {most} bytes", lambda: on_disk(broker) <= most, WITHIN_SECONDS)


def through_the_log_past_an_old_message(broker: Broker, name: str, traffic: int) -> int:
    """Sends so many bytes through while a client holds one old message; returns the most that the log took."""
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.amqp_port, heartbeat=0))
    channel = connection.channel()
    channel.queue_declare(name, durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", name, b"old", pika.BasicProperties(delivery_mode=2))
    held, _, _ = channel.basic_get(name)
    most = 0
    while written(broker) < traffic:
        bench(broker, "--prefetch", "200", "--in-flight", "2000")
        most = max(most, on_disk(broker))
    comes_back(broker, live=0)
    channel.basic_nack(held.delivery_tag, requeue=True)
    connection.close()
    broker.restart("SIGKILL")
    with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
        _, _, body = connection.channel().basic_get(name, auto_ack=True)
        assert body == b"old"
    return most


def test_one_old_message_holds_little_of_what_went_through_the_log(broker, name):
    most = through_the_log_past_an_old_message(broker, name, TRAFFIC)
    # What is in flight lives, too, and a minute of quiet was not given.
    assert most <= 2 * BESIDE, most


@pytest.mark.long
def test_one_old_message_holds_little_of_50_gb(broker, name):
    most = through_the_log_past_an_old_message(broker, name, LONG_TRAFFIC)
    print(f"at most {most >> 20} MiB")
    assert most <= 2 * BESIDE, most


@pytest.mark.parametrize("how", ["purge", "delete"])
def test_what_is_purged_or_deleted_gives_its_room_back_within_a_minute(broker, name, how):
    queues = []
    while on_disk(broker) < BESIDE * 3 // 2:
        queues.append(f"{name}{len(queues)}")
        bench(broker, "--consumers", "0", "--queue", queues[-1])
    with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
        channel = connection.channel()
        for queue in queues:
            # The bench numbers the queues that it is told the beginning of.
            (channel.queue_purge if how == "purge" else channel.queue_delete)(f"{queue}-0000")
    comes_back(broker, live=0)
