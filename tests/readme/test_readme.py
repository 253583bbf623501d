"""The README's story, word for word: its own code blocks, in their order, on the ports that they name.

The blocks run three times: straight through, with Ctrl-C and a new start between every two steps, and with a kill in
the place of Ctrl-C. Only what belongs to the machine is set from outside: the data directory, and other ports where
the standard ones are taken (then in the blocks too).
"""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import venv

import pytest

from broker import wait_until
from conftest import TESTS
from readme.blocks import Block
from readme.blocks import section

ROOT = TESTS.parent
STORY = section(ROOT / "README.md", "## One queue, two worlds")
START = "cargo run --release\n"
INSTALL = "pip install pika boto3\n"
STANDARD_PORTS = {"amqp": 5672, "aws": 4566, "metrics": 15692}


def is_free(port: int) -> bool:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Story:
    """A reader who follows the README: one terminal for the broker, one for everything else."""

    def __init__(self, folder: pathlib.Path, python: pathlib.Path):
        self.folder = folder
        self.python = python
        self.environment = os.environ | {"VIADUCT__DATA_DIR": str(folder / "data")}
        self.ports = {}
        if not all(map(is_free, STANDARD_PORTS.values())):
            self.ports = {name: any_free_port() for name in STANDARD_PORTS}
        for name, port in self.ports.items():
            self.environment[f"VIADUCT__LISTENERS__{name.upper()}"] = f"127.0.0.1:{port}"
        self.terminal: subprocess.Popen | None = None

    def words(self, block: Block) -> str:
        """The text of a block; a taken port is exchanged, which the test's output then says."""
        text = block.text
        if self.ports:
            text = text.replace("localhost:4566", f"localhost:{self.ports['aws']}")
            text = text.replace('"localhost")', f'"localhost", {self.ports["amqp"]})')
        return text

    def start(self) -> None:
        command = START.strip()
        if os.environ.get("VIADUCT_PROFILE") == "dev":
            command = command.removesuffix(" --release")
        (self.folder / "data" / "listeners.json").unlink(missing_ok=True)
        with (self.folder / "terminal").open("ab") as output:
            self.terminal = subprocess.Popen(
                command.split(),
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that Ctrl-C reaches it as from a terminal, and nobody else
            )
        wait_until("`cargo run` shows a ready broker", self._is_ready, 600)

    def _is_ready(self) -> bool:
        assert self.terminal.poll() is None, self.shown()
        if not (self.folder / "data" / "listeners.json").exists():
            return False
        port = (self.ports or STANDARD_PORTS)["aws"]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def end(self, how: signal.Signals) -> None:
        terminal, self.terminal = self.terminal, None
        os.killpg(terminal.pid, how)
        code = terminal.wait(20)
        assert how == signal.SIGKILL or code == 0, f"Ctrl-C ends it with {code}:\n{self.shown()}"

    def shown(self) -> str:
        return (self.folder / "terminal").read_text(errors="replace")[-4000:]

    def run(self, block: Block) -> str:
        """Runs a Python block as a reader would and returns what it prints."""
        ended = subprocess.run(
            [self.python, "-c", self.words(block)], cwd=self.folder, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 0, f"{block.text}\n{ended.stderr}\n{self.shown()}"
        return ended.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A new virtual environment in which the README's `pip install` has run."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True, symlinks=True)
    environment = os.environ | {"PIP_CONSTRAINT": str(TESTS / "requirements.txt"), "PATH": f"{folder}/bin:/usr/bin:/bin"}
    subprocess.run(INSTALL.split(), env=environment, check=True, capture_output=True, executable=folder / "bin/pip")
    return folder / "bin/python"


def test_the_story_has_the_blocks_that_this_test_knows():
    assert [block.text for block in STORY if block.language == "sh"] == [START, INSTALL]
    assert {block.language for block in STORY} == {"sh", "python", "text"}
    assert len([block for block in STORY if block.language == "python"]) == 4
    commands = re.findall(r"^\$ (tests/run --install)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands == ["tests/run --install"], "the README's second command"


@pytest.mark.parametrize("between", [None, signal.SIGINT, signal.SIGKILL], ids=["straight", "ctrl-c", "kill"])
def test_the_story_works_word_for_word(tmp_path, python, between):
    story = Story(tmp_path, python)
    print(f"ports: {story.ports or STANDARD_PORTS}", file=sys.stderr)
    printed = ""
    story.start()
    try:
        for block in STORY:
            if block.language == "text":
                assert printed == block.text
            elif block.language == "python":
                printed = story.run(block)
                if between is not None:
                    story.end(between)
                    story.start()
        story.end(signal.SIGINT)
    finally:
        if story.terminal is not None:
            story.end(signal.SIGKILL)
