"""The Dockerfiles as text: this needs no daemon."""

from __future__ import annotations

import json
import tomllib

from conftest import TESTS
from containers.dockerfile import Instruction
from containers.dockerfile import first_stage
from containers.dockerfile import last_stage
from containers.dockerfile import without_source

ROOT = TESTS.parent
FULL = ROOT / "Dockerfile"
PREBUILT = ROOT / "Dockerfile.prebuilt"


def argument(name: str) -> str:
    found = [instruction.arguments for instruction in last_stage(FULL) if instruction.name == name]
    assert len(found) == 1, f"{name} stands {len(found)} times in the last stage"
    return found[0]


def test_both_files_end_in_the_same_image():
    full, prebuilt = (list(map(without_source, last_stage(path))) for path in (FULL, PREBUILT))
    assert full == prebuilt
    assert [instruction.name for instruction in full].count("COPY") == 2


def test_a_difference_would_be_seen():
    copied = Instruction("COPY", "--from=build --chown=1:1 /a/data /data")
    assert without_source(copied) == Instruction("COPY", "--chown=1:1 data /data")
    assert without_source(Instruction("COPY", "--chown=2:2 data /data")) != without_source(copied)
    assert without_source(Instruction("COPY", "--chown=1:1 data /date")) != without_source(copied)


def test_the_image_is_what_its_users_count_on():
    assert argument("FROM") == "scratch"
    assert argument("USER") == "65532:65532"
    assert argument("VOLUME") == "/data"
    assert argument("STOPSIGNAL") == "SIGTERM"
    assert argument("HEALTHCHECK").endswith('CMD ["/usr/local/bin/viaduct", "health"]')
    assert Instruction("COPY", "--from=build --chown=65532:65532 /image/data /data") in last_stage(FULL)
    labels = argument("LABEL")
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    assert f"org.opencontainers.image.version={json.dumps(version)}" in labels
    for label in ("title", "description", "licenses"):
        assert f"org.opencontainers.image.{label}=" in labels


def test_the_second_stage_takes_what_the_first_makes():
    [run] = [instruction.arguments for instruction in first_stage(FULL) if instruction.name == "RUN"]
    copies = [instruction.arguments for instruction in last_stage(FULL) if instruction.name == "COPY"]
    taken = {word for copy in copies for word in copy.split() if word.startswith("/image/")}
    assert taken == {"/image/viaduct", "/image/data"}
    assert all(path in run.split() for path in taken)
    assert all(copy.startswith("--from=build ") for copy in copies)
    assert first_stage(FULL)[0].arguments.endswith(" AS build")
