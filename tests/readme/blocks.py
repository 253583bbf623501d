"""The fenced code blocks of a Markdown section."""

from __future__ import annotations

import dataclasses
import pathlib
import re

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Block:
    """One block: its language (`sh`, `python`, `text` for the output of the block before) and its text."""

    language: str
    text: str


def section(document: pathlib.Path, heading: str) -> list[Block]:
    """The blocks under `heading`, down to the next heading of the same level."""
    _, found, rest = document.read_text().partition(f"\n{heading}\n")
    assert found, f"{document.name} has no section {heading!r}"
    level = heading.split()[0]
    text = rest.split(f"\n{level} ")[0]
    return [Block(language, body) for language, body in FENCE.findall(text)]
