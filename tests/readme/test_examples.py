"""The programs of `examples/` and their pages in `docs/examples`: the commands of a page print what it says.

Where the broker is comes from outside, everything else is run as it stands.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pika
import pytest
import shop

from broker import wait_until
from conftest import TESTS
from readme.blocks import FENCE
from readme.blocks import Block

ROOT = TESTS.parent
EXAMPLES = ROOT / "examples"
PAGES = ROOT / "docs" / "examples"
INSTALL = "pip install pika boto3"
SHOP = ("buy_pika.py", "buy_boto3.py", "ship_pika.py", "ship_boto3.py")


def blocks(page: str) -> list[Block]:
    return [Block(language, text) for language, text in FENCE.findall((PAGES / page).read_text())]


def environment(broker) -> dict[str, str]:
    """Where the broker is, and the keys that go with it; nothing of the user's own AWS set-up."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own = {name: os.devnull for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    return inherited | own | keys | {"AMQP_URL": broker.amqp_url, "AWS_ENDPOINT_URL": broker.aws_url}


def run(command: str, broker, **other: str) -> str:
    """Runs `python …` of a page from the repository's root and returns what it prints."""
    program, *arguments = command.split()
    assert program == "python", command
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(broker) | other,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def steps(page: str) -> list[tuple[str, str]]:
    """The commands of a page, each with the output that the page shows after it."""
    found = []
    for block in blocks(page):
        if block.language == "sh":
            found += [(line, "") for line in block.text.splitlines() if line != INSTALL]
        elif block.language == "text" and found:
            command, shown = found.pop()
            found.append((command, shown + block.text))
    assert found, f"{page} has no commands"
    return found


# --- pages ----------------------------------------------------------------------------------


def test_every_example_has_its_page_and_every_page_its_test():
    pages = {path.name for path in PAGES.glob("*.md")}
    assert pages == {"README.md", "shop.md", "spike.md", "dead-letters.md", "spring.md", "testcontainers.md"}
    text = "\n".join((PAGES / page).read_text() for page in pages)
    files = [path for path in EXAMPLES.rglob("*.*") if path.suffix in (".py", ".rs")]
    programs = {path.relative_to(EXAMPLES).as_posix() for path in files}
    linked = set(re.findall(r"\.\./\.\./examples/([\w/]+\.(?:py|rs))", text))
    assert linked == programs
    for page in [*map(PAGES.joinpath, pages), ROOT / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
    index = (PAGES / "README.md").read_text()
    assert all(f"({page})" in index for page in pages - {"README.md"})


def test_dead_letters(broker):
    for command, shown in steps("dead-letters.md"):
        assert run(command, broker) == shown


def test_spike(broker):
    [(command, shown)] = steps("spike.md")
    printed = run(command, broker)
    # Who gets how many is the machine's affair; that every job was done, once, is ours.
    without_numbers = [re.sub(r"\b\d+(\.\d+)?(?= s\b| jobs$| of them waiting)", "N", text) for text in (shown, printed)]
    lines = [text.splitlines() for text in without_numbers]
    assert lines[0][0] == lines[1][0] and lines[0][-1] == lines[1][-1], printed
    assert printed.splitlines()[-1].startswith("1000 jobs done in ") and ", 0 of them twice" in printed
    shares = [int(share) for share in re.findall(r"^(?:pika|boto3) \d: (\d+) jobs$", printed, re.MULTILINE)]
    assert len(shares) == 4 and sum(shares) == 1000
    assert int(re.search(r"(\d+) of them waiting", printed)[1]) == 1000
    assert min(shares) > 0, "nobody was left out"


# --- the shop -------------------------------------------------------------------------------


class Shipping:
    """A shipping program that runs until it is told to stop, as in a terminal of its own."""

    def __init__(self, program: str, broker, folder, end: signal.Signals = signal.SIGTERM, **other: str):
        self.output = folder / program
        self.end = end
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, EXAMPLES / "shop" / program],
                env=environment(broker) | other,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def printed(self) -> str:
        return self.output.read_text()

    def __enter__(self) -> "Shipping":
        return self

    def __exit__(self, *_):
        self.process.send_signal(self.end)
        try:
            assert self.process.wait(20) == 0, self.printed()
        finally:
            if self.process.poll() is None:
                self.process.kill()


def test_shop_as_the_page_says(broker, tmp_path):
    (ship, nothing), (buy, shown) = steps("shop.md")
    assert nothing == ""
    bought, shipped = shown[: shown.index("shipped:")], shown[shown.index("shipped:") :]
    with Shipping(ship.rpartition("/")[2], broker, tmp_path) as shipping:
        assert run(buy, broker) == bought
        wait_until("all is shipped as the page shows", lambda: shipping.printed() == shipped, 30)


@pytest.mark.parametrize("ship", [program for program in SHOP if program.startswith("ship")])
@pytest.mark.parametrize("buy", [program for program in SHOP if program.startswith("buy")])
def test_shop_with_either_client_at_either_end(broker, tmp_path, name, buy, ship):
    orders = 20
    run(f"python examples/shop/{buy}", broker, QUEUE=name, ORDERS=str(orders))
    with Shipping(ship, broker, tmp_path, QUEUE=name) as shipping:
        wait_until("all is shipped", lambda: len(shipping.printed().splitlines()) >= orders, 30)
        assert shipping.printed().splitlines() == shop.shipped(orders)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("ship", [program for program in SHOP if program.startswith("ship")])
def test_shipping_ends_without_a_word(broker, tmp_path, name, ship, end):
    run("python examples/shop/buy_pika.py", broker, QUEUE=name, ORDERS="1")
    with Shipping(ship, broker, tmp_path, end, QUEUE=name) as shipping:
        wait_until("it ships", lambda: shipping.printed().splitlines() == shop.shipped(1), 30)
    assert shipping.printed().splitlines() == shop.shipped(1)


# --- programs that are their own page -------------------------------------------------------


def test_pika_to_boto3(broker):
    printed = run("python examples/pika_to_boto3.py", broker).splitlines()
    assert [line.split(" {")[0] for line in printed] == ["a book", "a lamp", "tea"]
    assert all("'customer': 'ada'" in line for line in printed)


def test_boto3_to_pika(broker):
    printed = [line.rstrip() for line in run("python examples/boto3_to_pika.py", broker).splitlines()]
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
