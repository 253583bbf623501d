"""What the tests with a daemon share: the daemon itself, the image from a static binary, Compose over both."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

from broker import wait_until
from cargo import target_directory
from conftest import TESTS
from containers import python_image
from containers.daemon import Daemon
from containers.dockerfile import first_stage

ROOT = TESTS.parent

# Compose's name of the broker's image.
IMAGE = "viaduct"

# How often Docker looks at the health in these tests: the image's own interval is made for years.
HEALTH_INTERVAL = "500ms"


@pytest.fixture(scope="session")
def daemon():
    """A private daemon; it ends with everything in it, however the tests went."""
    running = Daemon()
    try:
        yield running
    finally:
        running.close()


def source() -> pathlib.Path:
    """What `docker build .` is given: what .dockerignore lets through, and nothing else of this working copy.

    What is built of it stays, apart from everybody else's, so that only what has changed is compiled again.
    """
    kept = target_directory() / "image"
    folder = kept / "source"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            copy = shutil.copytree if (ROOT / line[1:]).is_dir() else shutil.copy2
            copy(ROOT / line[1:], folder / line[1:])
    (kept / "build").mkdir(exist_ok=True)
    (folder / "target").symlink_to(kept / "build")
    return folder


@pytest.fixture(scope="session")
def context(daemon, tmp_path_factory) -> pathlib.Path:
    """The folder that Dockerfile.prebuilt asks for, made by what the first stage of the Dockerfile runs.

    Its base image is all that is exchanged: this machine's Rust is in its place. It takes minutes when nothing is
    built yet, which are for nothing where there is no daemon: so that one is first.
    """
    folder = tmp_path_factory.mktemp("image")
    [run] = [instruction.arguments for instruction in first_stage(ROOT / "Dockerfile") if instruction.name == "RUN"]
    run = run.replace("/image/", f"{folder}/")
    if os.environ.get("VIADUCT_PROFILE") == "dev":
        run = run.replace(" --release", "").replace("/release/", "/debug/")
    environment = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
    subprocess.run(["sh", "-c", run], cwd=source(), env=environment, check=True)
    return folder


@pytest.fixture(scope="session")
def image(daemon, context) -> str:
    """The image of Dockerfile.prebuilt."""
    daemon.docker("build", "--quiet", f"--file={ROOT / 'Dockerfile.prebuilt'}", f"--tag={IMAGE}", str(context))
    return IMAGE


@pytest.fixture(scope="session")
def compose(daemon, image, tmp_path_factory):
    """Calls Compose with the repository's own file, in which only what would be pulled, or waits, is exchanged."""
    folder = tmp_path_factory.mktemp("compose")
    python_image.make(daemon, folder)
    base = {"build": {"args": {"PYTHON": python_image.IMAGE}}}
    override = folder / "override.yml"
    buying = base | {"environment": {"PAUSE_SECONDS": 0.05}}
    viaduct = {"healthcheck": {"interval": HEALTH_INTERVAL}}
    override.write_text(yaml.safe_dump({"services": {"viaduct": viaduct, "buying": buying, "shipping": base}}))
    files = [f"--file={ROOT / 'docker-compose.yml'}", f"--file={override}", f"--project-directory={ROOT}"]

    def call(*arguments: str, **options) -> subprocess.CompletedProcess:
        return daemon.compose(*files, *arguments, **options)

    call("build", "buying", "shipping")
    return call


class Container:
    """A container of the broker with a volume of its own."""

    def __init__(self, daemon: Daemon, name: str, image: str, *options: str):
        self.daemon = daemon
        self.name = name
        self.docker = daemon.docker
        interval = f"--health-interval={HEALTH_INTERVAL}"
        self.docker("run", "--detach", f"--name={name}", f"--volume={name}:/data", interval, *options, image)

    def state(self) -> dict:
        return self.daemon.inspect(self.name)["State"]

    def wait_healthy(self) -> None:
        wait_until(f"{self.name} is healthy", lambda: self.state()["Health"]["Status"] == "healthy", 60)

    def logs(self) -> str:
        ended = self.docker("logs", self.name)
        return ended.stdout + ended.stderr

    def remove(self) -> None:
        self.docker("rm", "--force", self.name)
        self.docker("volume", "rm", self.name)


@pytest.fixture
def start(daemon, image, request):
    """Starts the test's container with the options of `docker run`, and answers it once it is healthy."""
    with contextlib.ExitStack() as ends:
        name = re.sub(r"[^a-z]+", "-", request.node.name).strip("-")

        def call(*options: str) -> Container:
            running = Container(daemon, name, image, *options)
            ends.callback(running.remove)
            running.wait_healthy()
            return running

        yield call


@pytest.fixture
def container(start):
    """A running, healthy broker on a read-only root, with the ports that it publishes."""
    ports = [f"--publish=127.0.0.1:{port}:{port}" for port in (5672, 4566)]
    return start("--read-only", "--env=VIADUCT__AUTH__DEFAULT_USERS=anywhere", *ports)
