"""Compares Viaduct with the brokers that people have, and says which goals it meets.

    benches/compare/run [--only NAME]... [--rounds N] [--quick] [--json FILE] [--update docs/benchmarks.md]

Prints the tables of docs/benchmarks.md. The exit code is 1 when a goal is missed in a run that counts, 2 when a peer
is not installed or a run failed, else 0. --list names what --only takes.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

from . import report
from .generator import Settings
from .generator import compare
from .peers import missing
from .peers import viaduct_version
from .rounds import GeneratorFailed
from .rounds import too_few
from .scenarios import SCENARIOS
from .single import ROOT
from .single import SINGLES
from .single import build_log

# What `stat` calls file systems whose syncs touch no disk.
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")
NAMES = [scenario.name for scenario in SCENARIOS] + list(SINGLES)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """What was asked for; ends with exit code 2 when that makes no sense."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help="this run; may be repeated")
    parser.add_argument("--list", action="store_true", help="names what can be run")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; fewer than 3 do not count (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one short round, to see whether everything works")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="writes every round's figures to FILE")
    parser.add_argument("--update", type=pathlib.Path, metavar="PAGE", help="puts the tables into a page, between its markers")
    parser.add_argument("--binary", default=os.environ.get("VIADUCT_BIN"), help="viaduct; built when not given")
    parser.add_argument("--scratch", type=pathlib.Path, help="folder for data, on a real disk (default: target/compare)")
    options = parser.parse_args(argv)
    if options.rounds < 1:
        parser.error("--rounds takes 1 or more")
    if options.update and (options.only or options.quick or too_few(options.rounds)):
        parser.error("--update replaces every table of the page: it takes a whole run that counts")
    return options


def build() -> str:
    """Builds the broker as users run it and returns its path."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "viaduct"], cwd=ROOT, check=True)
    return str(target() / "release" / "viaduct")


def target() -> pathlib.Path:
    metadata = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"]
    return pathlib.Path(json.loads(subprocess.check_output(metadata, cwd=ROOT))["target_directory"])


def machine(version: str) -> str:
    """What was measured where, in one line: ratios travel, absolute figures do not."""
    cpus = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in cpus if line.startswith("model name")), "unknown processor")
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    kernel = re.match(r"\d+\.\d+", platform.release())[0]
    return f"Viaduct {version} on {os.cpu_count()} × {model}, {release}, Linux {kernel}."


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run_all(settings: Settings, chosen: list[str]) -> tuple[list[report.Row], list[report.Run], list[str]]:
    """Rows, runs, and what failed: one broken run must not hide the others."""
    rows, runs, failures = [], [], []
    work = {scenario.name: lambda s=scenario: compare(settings, s, say) for scenario in SCENARIOS}
    work |= {name: lambda f=figure: f(settings, say) for name, figure in SINGLES.items()}
    for name in chosen:
        try:
            new_rows, run = work[name]()
        except (GeneratorFailed, OSError, RuntimeError) as failure:
            failures.append(f"{name}: {failure}")
            say(f"{name}: FAILED: {failure}")
            continue
        rows += new_rows
        runs.append(run)
        for row in new_rows:
            say(f"{row.name}: {row.verdict}")
    return rows, runs, failures


def lacking(chosen: list[str]) -> list[str]:
    """How to install what the chosen runs lack."""
    peers = dict.fromkeys(peer for scenario in SCENARIOS if scenario.name in chosen for peer in scenario.peers)
    return [remedy for peer in peers if (remedy := missing(peer))]


def in_memory(folders: list[pathlib.Path]) -> str | None:
    """Why these folders are no place for data, or None: where a sync costs nothing, no figure of a confirm means anything."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        kind = file_system(folder)
        if kind in MEMORY_FILE_SYSTEMS:
            return f"{folder} is on a {kind}, where a sync costs nothing: choose a folder on a disk (--scratch, CARGO_TARGET_DIR)"
    return None


def file_system(folder: pathlib.Path) -> str:
    """The type of the file system that a folder is on, as in `ext2/ext3` or `tmpfs`."""
    return subprocess.check_output(["stat", "--file-system", "--format=%T", folder], text=True).strip()


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.list:
        print("\n".join(NAMES))
        return 0
    chosen = options.only or NAMES
    if remedies := lacking(chosen):
        say("peers are missing:\n  " + "\n  ".join(remedies))
        return 2
    scratch = options.scratch or target() / "compare"
    # The benchmark of the log has its data where cargo builds.
    if refused := in_memory([scratch, target()] if "log" in chosen else [scratch]):
        say(refused)
        return 2
    binary = options.binary or build()
    if "log" in chosen:
        build_log()
    quick = {"rounds": 1, "warm_up": 0.3, "seconds": 1.0} if options.quick else {"rounds": options.rounds}
    # Two comparisons on one machine are wrong anyway, but must not remove each other's files.
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        settings = Settings(str(pathlib.Path(binary).resolve()), pathlib.Path(folder), **quick)
        rows, runs, failures = run_all(settings, chosen)
    header = machine(viaduct_version(binary))
    tables = report.markdown(header, rows, runs)
    print(tables)
    if options.json:
        options.json.write_text(report.as_json(header, rows, runs))
    if options.update and not failures:
        report.update(options.update, tables)
    elif options.update:
        say(f"{options.update} is unchanged: a run failed")
    say(report.summary(rows) + f", {len(failures)} failed")
    if failures:
        return 2
    return 1 if any(row.verdict.startswith(report.MISSED) for row in rows) else 0
