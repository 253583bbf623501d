"""`viaduct bench sqs` against the broker: what it counts is what happened, and nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess

import pytest


def bench(broker, tmp_path, *flags: str) -> tuple[subprocess.CompletedProcess, dict]:
    """Runs the generator for a short time; its exit and its report."""
    report = tmp_path / "report.json"
    times = ["--warmup", "0.1", "--duration", "0.5", "--json", str(report), "--no-progress"]
    command = [os.environ["VIADUCT_BIN"], "bench", "sqs", broker.aws_url, *times, *flags]
    ended = subprocess.run(command, env=broker.aws_environment, capture_output=True, text=True, timeout=90)
    return ended, json.loads(report.read_text()) if report.exists() else {}


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--batch", "1", "--size", "32"],
        ["--producers", "3", "--consumers", "4", "--queues", "2", "--batch", "3", "--in-flight", "40"],
        ["--rate", "50"],
        ["--long-poll"],
    ],
    ids=lambda flags: " ".join(flags) or "default",
)
def test_every_message_is_sent_confirmed_received_and_deleted_once(broker, sqs, tmp_path, flags):
    ended, report = bench(broker, tmp_path, *flags)
    assert ended.returncode == 0, ended.stderr
    assert report["drained"] and report["total"]["received"] > 0
    assert report["total"]["sent"] == report["total"]["confirmed"] == report["total"]["received"]
    wrong = {key: report[key] for key in ("lost", "duplicated", "redelivered", "refused")}
    assert not any(wrong.values()), wrong
    for latency in ("end_to_end_us", "confirm_us"):
        assert 0 < report[latency]["p50"] <= report[latency]["p99"] <= report[latency]["max"]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="viaduct-bench-")


def test_a_named_queue_stays_and_is_empty(broker, sqs, tmp_path, name):
    ended, report = bench(broker, tmp_path, "--queue", name)
    assert ended.returncode == 0, ended.stderr
    (url,) = sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (attributes["ApproximateNumberOfMessages"], attributes["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


def test_a_message_of_somebody_else_ends_the_run(broker, sqs, tmp_path, name):
    url = sqs.create_queue(QueueName=f"{name}-0000")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="not from the generator, and longer than its label")
    ended, report = bench(broker, tmp_path, "--queue", name)
    assert (ended.returncode, report) == (1, {})
    assert "did not send" in ended.stderr


def test_a_wrong_key_is_told_in_the_brokers_words(broker, tmp_path):
    command = [os.environ["VIADUCT_BIN"], "bench", "sqs", broker.aws_url.replace("http://", "http://test:wrong@")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "CreateQueue was refused with 403" in ended.stderr and "signature" in ended.stderr.lower()


@pytest.mark.parametrize(
    "flags, word",
    [
        (["--prefetch", "3"], "--batch"),
        (["--size", "31"], "at least 32"),
        (["--queues", "2"], "--consumers"),
        (["--long-poll", "--rate", "5"], "one message at a time"),
        (["--batch", "11"], "1..=10"),
    ],
)
def test_flags_that_make_no_sense_are_refused(broker, tmp_path, flags, word):
    ended, _ = bench(broker, tmp_path, *flags)
    assert ended.returncode == 2
    assert word in ended.stderr
