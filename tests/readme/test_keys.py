"""A developer's keys are for AWS: the programs of `examples/` send them elsewhere only if they are told where."""

from __future__ import annotations

import subprocess
import sys

import pytest

from conftest import TESTS

EXAMPLES = TESTS.parent / "examples"

# Runs a program up to its first client of AWS', and shows where that one would go and with which keys.
SHOW_CLIENT = """
import os, runpy, sys
import boto3
make = boto3.client
def show(*arguments, **options):
    client = make(*arguments, **options)
    keys = client._request_signer._credentials
    where = client.meta.endpoint_url, client.meta.region_name
    print("client:", *where, keys.access_key, keys.secret_key, keys.token, flush=True)
    os._exit(0)
boto3.client = show
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def client_of(program: str, environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", SHOW_CLIENT, str(EXAMPLES / program)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


def users_of_boto3() -> list[str]:
    files = [path for path in EXAMPLES.rglob("*.py") if "import boto3" in path.read_text()]
    return sorted(path.relative_to(EXAMPLES).as_posix() for path in files)


@pytest.mark.parametrize("program", users_of_boto3())
def test_keys_for_aws_go_nowhere_else(broker, program):
    real = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
    found = broker.aws_environment | {"AMQP_URL": broker.amqp_url, "AWS_DEFAULT_REGION": "eu-west-3"} | real
    assert client_of(program, found) == f"client: {broker.aws_url} eu-west-3 AKIA secret token"
    del found["AWS_ENDPOINT_URL"]
    assert client_of(program, found) == "client: http://localhost:4566 us-east-1 test test None"
