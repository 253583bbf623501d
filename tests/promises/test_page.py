"""`docs/reliability.md` names every check of this folder, and no other."""

from __future__ import annotations

import re

from conftest import TESTS

PAGE = (TESTS.parent / "docs" / "reliability.md").read_text()
SOURCES = [*(TESTS / "promises").glob("test_*.py"), *(TESTS.parent / "src" / "store").rglob("*.rs")]


def test_every_check_on_the_page_is_a_test_and_every_test_here_is_on_it():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| check"))]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[2])}
    assert len(rows) > 10 and all(re.search(r"`\w+`", row.split("|")[2]) for row in rows), "a row without its test"
    there = {name for path in SOURCES for name in re.findall(r"^(?:def|fn) (\w+)\(", path.read_text(), re.MULTILINE)}
    assert not named - there, "named on the page, and no test"
    ours = {name for path in SOURCES if path.suffix == ".py" for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.M)}
    ours.remove(test_every_check_on_the_page_is_a_test_and_every_test_here_is_on_it.__name__)
    assert not ours - named, "a test, and not on the page"
