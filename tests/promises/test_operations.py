"""What an operator does with a data dir: check, repair, backup and restore, with the real binary."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import subprocess

import pytest

from broker import Broker
from broker import wait_until
from clients.test_boto3 import create
from clients.test_pika import PERSISTENT
from conftest import sqs_client
from promises.load import Worker, confirming
from promises.segments import frames
from promises.test_failing_disk import drained

BINARY = os.environ.get("VIADUCT_BIN", "viaduct")


@pytest.fixture
def broker(own):
    """A broker of the test's own: its files are damaged."""
    return own


def viaduct(data_dir: pathlib.Path, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, *args, "--data-dir", str(data_dir)], capture_output=True, text=True, timeout=60)


def report(data_dir: pathlib.Path) -> tuple[int, dict]:
    found = viaduct(data_dir, "check", "--json")
    assert found.stdout, found.stderr
    return found.returncode, json.loads(found.stdout)


def publish(broker: Broker, queue: str, bodies: list[str]) -> None:
    channel = confirming(broker)
    channel.queue_declare(queue, durable=True)
    for body in bodies:
        channel.basic_publish("", queue, body.encode(), PERSISTENT, mandatory=True)


def test_a_sound_data_dir_is_said_to_be_and_not_touched(broker, name):
    publish(broker, name, ["a", "b"])
    code, found = report(broker.data_dir)
    assert (code, found["is_running"], found["damages"]) == (0, True, [])
    broker.stop()
    files = {path: path.read_bytes() for path in broker.data_dir.rglob("*") if path.is_file()}
    code, found = report(broker.data_dir)
    assert (code, found["is_running"], found["damages"]) == (0, False, [])
    assert {queue["name"]: queue["messages"] for queue in found["queues"]} == {name: 2}
    assert {path: path.read_bytes() for path in broker.data_dir.rglob("*") if path.is_file()} == files
    assert "no damage" in viaduct(broker.data_dir, "repair").stdout


def test_a_flipped_bit_is_named_and_repaired_and_the_rest_is_served(broker, name):
    bodies = [f"{n}-{'x' * 2000}" for n in range(20)]
    publish(broker, name, bodies)
    broker.kill()
    path = min((broker.data_dir / "log").glob("*.seg"))
    segment = bytearray(path.read_bytes())
    # The frame of a message in the middle.
    at = segment.index(b"10-xxx")
    frame = next(frame for frame in frames(bytes(segment)) if frame.offset <= at < frame.end)
    segment[at] ^= 1
    path.write_bytes(segment)
    code, found = report(broker.data_dir)
    assert code == 3
    assert [(d["file"], d["offset"]) for d in found["damages"]] == [(str(path), frame.offset)]
    asked = viaduct(broker.data_dir, "repair")
    assert asked.returncode == 1 and "--yes" in asked.stderr
    assert report(broker.data_dir)[1] == found
    repaired = viaduct(broker.data_dir, "repair", "--yes")
    assert repaired.returncode == 0, repaired.stderr
    assert report(broker.data_dir)[0] == 0
    (kept,) = (broker.data_dir / "quarantine").iterdir()
    assert (kept / path.name).read_bytes() == segment
    broker.start()
    assert drained(broker, name) == [body for body in bodies if not body.startswith("10-")]


def test_a_backup_under_load_from_both_doors_has_what_was_confirmed_before_it(broker, name, tmp_path):
    sqs, queue = sqs_client(broker), f"{name[:60]}-sqs"
    url = create(sqs, queue)
    settled = [f"settled {n}" for n in range(5)]
    publish(broker, name, settled)
    assert drained(broker, name) == settled
    confirmed: list[str] = []
    sent: list[str] = []
    channel = confirming(broker)

    def by_amqp() -> None:
        for n in itertools.count():
            channel.basic_publish("", name, f"{n}".encode(), PERSISTENT, mandatory=True)
            confirmed.append(f"{n}")

    def by_sqs() -> None:
        for n in itertools.count():
            sqs.send_message(QueueUrl=url, MessageBody=f"{n}")
            sent.append(f"{n}")

    workers = [Worker(by_amqp), Worker(by_sqs)]
    wait_until("both doors confirm", lambda: len(confirmed) > 50 and len(sent) > 20)
    before = (len(confirmed), len(sent))
    backup = tmp_path / "backup"
    made = viaduct(broker.data_dir, "backup", str(backup))
    assert made.returncode == 0, made.stderr
    assert viaduct(broker.data_dir, "backup", str(backup)).returncode == 1, "the folder is not empty"
    wait_until("it goes on", lambda: len(confirmed) > before[0] + 10)
    broker.kill()
    for worker in workers:
        worker.join()
    other = tmp_path / "other"
    restored = viaduct(other / "data", "restore", str(backup))
    assert restored.returncode == 0, restored.stderr
    copy = Broker(BINARY, other)
    try:
        copy.start()
        left = drained(copy, name)
        assert left == [f"{n}" for n in range(len(left))] and len(left) >= before[0]
        left = drained(copy, queue)
        assert left == [f"{n}" for n in range(len(left))] and len(left) >= before[1]
    finally:
        copy.close()


def test_a_kill_in_mid_backup_leaves_the_broker_sound_and_the_backup_refused(broker, name, tmp_path):
    bodies = [f"{n}-{'x' * 100_000}" for n in range(300)]
    publish(broker, name, bodies)
    backup = tmp_path / "backup"
    command = [BINARY, "backup", str(backup), "--data-dir", str(broker.data_dir)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until("the backup has begun", lambda: (backup / "log").exists() and any((backup / "log").iterdir()))
    assert not (backup / "MANIFEST").exists(), "the backup was done too soon for this test"
    broker.kill()
    assert running.wait(30) == 1
    running.communicate()
    refused = viaduct(tmp_path / "restored", "restore", str(backup))
    assert refused.returncode == 3 and "MANIFEST" in refused.stderr
    assert report(broker.data_dir)[0] == 0
    broker.start()
    assert drained(broker, name) == bodies


def test_a_damaged_large_body_is_named_and_costs_its_message_only(broker, name):
    bodies = [bytes([65 + n]) * (2 << 20) for n in range(3)]
    channel = confirming(broker)
    channel.queue_declare(name, durable=True)
    for body in bodies:
        channel.basic_publish("", name, body, PERSISTENT, mandatory=True)
    assert report(broker.data_dir)[0] == 0, "a running broker reads them, too"
    broker.kill()
    (path,) = [path for path in (broker.data_dir / "big").iterdir() if path.read_bytes()[100:101] == b"B"]
    damaged = bytearray(path.read_bytes())
    damaged[1 << 20] ^= 1
    path.write_bytes(damaged)
    code, found = report(broker.data_dir)
    assert (code, [d["file"] for d in found["damages"]]) == (3, [str(path)])
    assert found["damages"][0]["queues"] == [f"/ {name}"] and found["damages"][0]["first"] > 0
    repaired = viaduct(broker.data_dir, "repair", "--yes")
    assert repaired.returncode == 0, repaired.stderr
    (kept,) = (broker.data_dir / "quarantine").iterdir()
    assert (kept / path.name).read_bytes() == damaged and not path.exists()
    assert report(broker.data_dir)[0] == 0
    broker.start()
    assert drained(broker, name) == [bodies[0].decode(), bodies[2].decode()]
