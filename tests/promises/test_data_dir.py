"""Two processes on one data dir: the second is refused in words, and the first does not notice."""

from __future__ import annotations

import itertools
import os
import subprocess

from broker import wait_until
from clients.test_boto3 import create
from clients.test_pika import PERSISTENT
from conftest import sqs_client
from promises.load import Worker, confirming
from promises.test_failing_disk import drained

BINARY = os.environ.get("VIADUCT_BIN", "viaduct")
TRIES = 5


def test_a_second_process_is_refused_and_the_first_goes_on(broker, name):
    confirmed: list[str] = []
    channel = confirming(broker)
    channel.queue_declare(name, durable=True)

    def work() -> None:
        for n in itertools.count():
            channel.basic_publish("", name, f"{n}".encode(), PERSISTENT, mandatory=True)
            confirmed.append(f"{n}")

    listeners = (broker.data_dir / "listeners.json").read_text()
    worker = Worker(work)
    serve = [BINARY, "serve", "--data-dir", str(broker.data_dir)]
    for door in broker.addresses:
        serve += ["--set", f"listeners.{door}=127.0.0.1:0"]
    for _ in range(TRIES):
        before = len(confirmed)
        wait_until("the first one confirms", lambda: len(confirmed) > before)
        second = subprocess.run(serve, capture_output=True, text=True, timeout=30)
        assert second.returncode == 3
        expected = f"viaduct: data dir {broker.data_dir} is in use by another process: stop it, or choose another --data-dir"
        assert second.stderr.splitlines()[-1] == expected
    # Commands for a broker that is stopped are no way around the lock either: they ask the one that runs.
    users = subprocess.run([BINARY, "user", "list", "--data-dir", str(broker.data_dir)], capture_output=True, text=True)
    assert users.returncode == 0 and "guest" in users.stdout
    before = len(confirmed)
    wait_until("the first one goes on", lambda: len(confirmed) > before)
    assert (broker.data_dir / "listeners.json").read_text() == listeners
    create(sqs_client(broker), f"{name[:60]}-after")
    broker.kill()
    worker.join()
    broker.start()
    left = drained(broker, name)
    assert left[: len(confirmed)] == confirmed and len(left) <= len(confirmed) + 1
