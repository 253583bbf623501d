"""docker-compose.yml without Docker: its programs as plain processes, in its own environment and by its own commands.

Only the names that Compose's network would resolve are exchanged: `viaduct:5672` for where the broker of the test is.
"""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
import shop
import yaml

from broker import Broker
from broker import wait_until
from conftest import TESTS
from containers.dockerfile import instructions

ROOT = TESTS.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
CLIENTS = ("buying", "shipping")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A broker in the environment of Compose's, on free ports."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SERVICES["viaduct"]["environment"].items():
            patch.setenv(name, str(value))
        running = Broker(os.environ["VIADUCT_BIN"], tmp_path_factory.mktemp("broker"))
        try:
            yield running.start()
        finally:
            running.close()


def environment(service: str, broker, **other: str) -> dict[str, str]:
    """What Compose gives a service, and nothing of this machine's but the way to programs."""
    values = {"PATH": os.environ["PATH"]}
    for name, value in SERVICES[service]["environment"].items():
        value = str(value).replace("viaduct:5672", f"127.0.0.1:{broker.amqp_port}")
        values[name] = value.replace("viaduct:4566", broker.aws_url.removeprefix("http://"))
        assert "viaduct:" not in values[name], f"{name} of {service} names a port that nobody listens on"
    return values | other


def command(service: str) -> list[str]:
    program, *arguments = SERVICES[service]["command"]
    assert program == "python"
    return [sys.executable, *arguments]


def folder(service: str) -> pathlib.Path:
    return ROOT / SERVICES[service]["build"]["context"]


def start(service: str, environment: dict[str, str], output: pathlib.Path) -> subprocess.Popen:
    with output.open("wb") as printed:
        return subprocess.Popen(
            command(service), cwd=folder(service), env=environment, stdout=printed, stderr=subprocess.STDOUT
        )


def test_orders_that_are_bought_are_shipped(broker, tmp_path):
    bought, shipped = tmp_path / "bought", tmp_path / "shipped"
    shipping = start("shipping", environment("shipping", broker), shipped)
    buying = start("buying", environment("buying", broker, PAUSE_SECONDS="0.02"), bought)
    try:
        count = SERVICES["buying"]["environment"]["ORDERS"]
        assert buying.wait(60) == 0, bought.read_text()
        wait_until("all orders are shipped", lambda: len(shipped.read_text().splitlines()) >= count, 60)
        assert bought.read_text().splitlines() == shop.bought(count)
        assert shipped.read_text().splitlines() == shop.shipped(count)
        begin = time.monotonic()
        shipping.send_signal(signal.SIGTERM)
        assert shipping.wait(20) == 0, shipped.read_text()
        assert time.monotonic() - begin < 9, "Docker would have killed it soon"
    finally:
        for process in (buying, shipping):
            if process.poll() is None:
                process.kill()
                process.wait()


def test_each_client_waits_for_a_healthy_broker():
    for service in CLIENTS:
        assert SERVICES[service]["depends_on"] == {"viaduct": {"condition": "service_healthy"}}


def test_each_image_gets_the_program_and_the_client_that_its_command_needs():
    for service in CLIENTS:
        words = [instruction.arguments.split() for instruction in instructions(folder(service) / "Dockerfile")]
        copied = {word for first, *rest in words for word in (first, *rest) if word.endswith(".py")}
        program = SERVICES[service]["command"][1]
        assert program in copied
        imported = re.findall(r"^import (\w+)$", (folder(service) / program).read_text(), re.MULTILINE)
        assert SERVICES[service]["build"]["args"]["CLIENT"] in imported
        foreign = {"pika", "boto3"} - {SERVICES[service]["build"]["args"]["CLIENT"]}
        assert not foreign & set(imported)


def test_ports_are_published_on_loopback_only_and_data_is_kept():
    viaduct = SERVICES["viaduct"]
    assert {port.split(":")[0] for port in viaduct["ports"]} == {"127.0.0.1"}
    assert {port.rpartition(":")[2] for port in viaduct["ports"]} == {"5672", "4566", "15692"}
    assert viaduct["volumes"] == ["data:/data"] and "data" in COMPOSE["volumes"]
    assert viaduct["read_only"] is True
