"""What the comparison refuses to run, and what it does not write."""

from __future__ import annotations

import pathlib

import pytest

from compare import command
from compare.scenarios import CONFIRMED
from compare.scenarios import SCENARIOS


@pytest.mark.parametrize("part", [["--only", "transient"], ["--quick"], ["--rounds", "2"]])
def test_a_part_of_a_run_does_not_replace_the_tables(part, tmp_path, capsys):
    page = tmp_path / "page.md"
    with pytest.raises(SystemExit) as ended:
        command.main([*part, "--update", str(page)])
    assert ended.value.code == 2
    assert "it takes a whole run" in capsys.readouterr().err
    assert not page.exists()


def test_a_whole_run_may_replace_them():
    assert command.arguments(["--update", "page.md"]).update == pathlib.Path("page.md")


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_a_memory_file_system_is_no_place_for_data(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "file_system", lambda _folder: kind)
    assert command.main(["--only", "idle-memory", "--scratch", str(tmp_path / "new")]) == 2
    assert f"new is on a {kind}, where a sync costs nothing" in capsys.readouterr().err


def test_the_type_of_a_file_system_is_found():
    assert command.file_system(pathlib.Path("/proc")) == "proc"
    shared_memory = pathlib.Path("/dev/shm")
    if not shared_memory.is_dir():
        pytest.skip("no memory file system here")
    assert command.in_memory([shared_memory]) is not None


def test_windows_are_judged_by_what_was_confirmed():
    rates = [goal.metric for scenario in SCENARIOS for goal in scenario.goals if goal.name.startswith("window-")]
    assert rates == [CONFIRMED] * 3
