"""The programs of `examples/`, with the ports of a broker that runs for them."""

from __future__ import annotations

import signal
import subprocess
import sys

import pika

from conftest import TESTS

EXAMPLES = TESTS.parent / "examples"


def run(broker, name: str) -> list[str]:
    """Runs an example as its head says and returns the lines that it prints."""
    program = (EXAMPLES / name).read_text()
    for standard, free in (
        ('ConnectionParameters("localhost")', f'ConnectionParameters("127.0.0.1", {broker.amqp_port})'),
        ("http://localhost:4566", broker.aws_url),
    ):
        assert standard in program, f"{name} runs against the standard ports"
        program = program.replace(standard, free)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_every_example_is_run_here():
    names = {path.name for path in EXAMPLES.iterdir()}
    assert names == {"pika_to_boto3.py", "boto3_to_pika.py", "embedded.rs"}


def test_pika_to_boto3(broker):
    printed = run(broker, "pika_to_boto3.py")
    assert [line.split(" {")[0] for line in printed] == ["a book", "a lamp", "tea"]
    assert all("'customer': 'ada'" in line for line in printed)


def test_boto3_to_pika(broker):
    printed = [line.rstrip() for line in run(broker, "boto3_to_pika.py")]
    assert printed == ["done: possible", "failed: impossible", "failed: impossible (again)", "dead: impossible"]


def test_embedded(tmp_path):
    command = ["cargo", "run", "--quiet", "--locked", "--example", "embedded", str(tmp_path / "data")]
    embedded = subprocess.Popen(command, cwd=EXAMPLES.parent, stdout=subprocess.PIPE, text=True)
    try:
        url = embedded.stdout.readline().strip()
        pika.BlockingConnection(pika.URLParameters(url)).close()
        embedded.send_signal(signal.SIGINT)
        assert embedded.wait(20) == 0
    finally:
        if embedded.poll() is None:
            embedded.kill()
