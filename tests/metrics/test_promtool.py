"""The metrics page through Prometheus' own checker."""

from __future__ import annotations

import subprocess
import urllib.request

from clients.test_boto3 import create, receive_one
from clients.test_pika import PERSISTENT


def page(broker) -> str:
    with urllib.request.urlopen(broker.metrics_url, timeout=10) as answer:
        assert answer.status == 200
        return answer.read().decode()


def test_promtool_accepts_the_page(broker, channel, sqs, name):
    # Both doors have worked, so that their families have samples.
    url = create(sqs, name)
    channel.basic_publish("", name, b"counted", PERSISTENT, mandatory=True)
    receive_one(sqs, url)
    text = page(broker)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert names and all(name.startswith(("viaduct_", "process_")) for name in names), names
