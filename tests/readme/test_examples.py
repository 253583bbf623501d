"""The programs of `examples/`, with the ports of a broker that runs for them."""

from __future__ import annotations

import subprocess
import sys

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


def test_every_python_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"pika_to_boto3.py", "boto3_to_pika.py"}


def test_pika_to_boto3(broker):
    printed = run(broker, "pika_to_boto3.py")
    assert [line.split(" {")[0] for line in printed] == ["a book", "a lamp", "tea"]
    assert all("'customer': 'ada'" in line for line in printed)


def test_boto3_to_pika(broker):
    printed = [line.rstrip() for line in run(broker, "boto3_to_pika.py")]
    assert printed == ["done: possible", "failed: impossible", "failed: impossible (again)", "dead: impossible"]
