"""docker-compose.yml in a daemon: what the old application sends is what the new one gets, and nothing is left."""

from __future__ import annotations

import re
import time

import shop
import yaml

from broker import wait_until
from conftest import TESTS

SERVICES = yaml.safe_load((TESTS.parent / "docker-compose.yml").read_text())["services"]
ORDERS = SERVICES["buying"]["environment"]["ORDERS"]


def lines(compose, service: str, word: str) -> list[str]:
    """What a service has printed so far that begins with `word`, without the name that Compose puts before each."""
    text = compose("logs", "--no-color", service).stdout
    return re.findall(rf"\b{word}: .+", text)


def test_orders_that_are_bought_are_shipped(daemon, compose):
    try:
        compose("up", "--detach")
        for service, word in (("buying", "bought"), ("shipping", "shipped")):
            wait_until(f"all is {word}", lambda: len(lines(compose, service, word)) >= ORDERS, 100)
        assert lines(compose, "buying", "bought") == shop.bought(ORDERS)
        assert lines(compose, "shipping", "shipped") == shop.shipped(ORDERS)

        running = {name: daemon.inspect(identity(compose, name)) for name in SERVICES}
        assert running["viaduct"]["State"]["Health"]["Status"] == "healthy"
        assert running["viaduct"]["HostConfig"]["ReadonlyRootfs"]
        assert {state["Config"]["User"] for state in running.values()} == {"65532:65532"}
        assert running["buying"]["State"]["ExitCode"] == 0

        # Nobody is deaf to SIGTERM: otherwise each would be killed, after ten seconds.
        start = time.monotonic()
        compose("stop")
        took = time.monotonic() - start
        codes = {name: daemon.inspect(container["Id"])["State"]["ExitCode"] for name, container in running.items()}
        assert codes == dict.fromkeys(SERVICES, 0)
        assert took < 9, f"{took} s"
    finally:
        compose("down", "--volumes", check=False)
    for what in (["ps", "--all"], ["volume", "ls"]):
        assert daemon.docker(*what, "--quiet", "--filter=label=com.docker.compose.project").stdout == ""


def identity(compose, service: str) -> str:
    listed = compose("ps", "--all", "--quiet", service, check=False)
    # Compose 1 lists what has ended without being asked, and doesn't know the flag.
    return (listed if listed.returncode == 0 else compose("ps", "--quiet", service)).stdout.strip()
