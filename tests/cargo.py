"""Where Cargo builds, for what looks for its results."""

from __future__ import annotations

import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def target_directory() -> pathlib.Path:
    """The folder of all builds, which the environment or a file of the user's may have moved."""
    metadata = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"]
    return pathlib.Path(json.loads(subprocess.check_output(metadata, cwd=ROOT))["target_directory"])
