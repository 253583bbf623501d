"""Dockerfiles, as far as ours go: instructions, with what is continued on the next line joined."""

from __future__ import annotations

import pathlib
import re
from typing import NamedTuple


class Instruction(NamedTuple):
    """One instruction: `COPY`, and everything behind it with single spaces."""

    name: str
    arguments: str


def instructions(path: pathlib.Path) -> list[Instruction]:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        name, _, arguments = line.strip().partition(" ")
        found.append(Instruction(name.upper(), " ".join(arguments.split())))
    return found


def stages(path: pathlib.Path) -> list[list[Instruction]]:
    """The instructions of each stage, its FROM first."""
    found = []
    for instruction in instructions(path):
        if instruction.name == "FROM":
            found.append([])
        if found:
            found[-1].append(instruction)
    return found


def first_stage(path: pathlib.Path) -> list[Instruction]:
    return stages(path)[0]


def last_stage(path: pathlib.Path) -> list[Instruction]:
    return stages(path)[-1]


def without_source(instruction: Instruction) -> Instruction:
    """A COPY whose source says only its file name: where it stood before differs, what becomes of it must not."""
    if instruction.name != "COPY":
        return instruction
    words = [word for word in instruction.arguments.split() if not word.startswith("--from=")]
    *flags, source, destination = words
    return Instruction("COPY", " ".join([*flags, re.sub(r"^.*/", "", source), destination]))
