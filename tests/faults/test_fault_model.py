"""docs/fault-model.md names its tests, and they are there: a promise whose test was renamed is shown by nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
MODEL = TESTS.parent / "docs" / "fault-model.md"
# `room/test_file.py::test_name`, `room/test_file.py`, and `…::test_name` for another one of the file before it.
NAMED = re.compile(r"`(?P<file>[\w/]+\.py|…)(?:::(?P<name>\w+))?`")


def rows() -> Iterator[list[str]]:
    """The cells of each fault's row."""
    for line in MODEL.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and not line.startswith(("| ---", "| fault |")):
            yield cells


def test_every_fault_has_a_promise_and_a_test_that_is_there() -> None:
    for cells in rows():
        assert len(cells) == 4, cells
        fault, promise, _mechanism, tests = cells
        assert promise, fault
        named = list(NAMED.finditer(tests))
        assert named, f"no test is named for: {fault}"
        path = TESTS
        for found in named:
            path = path if found["file"] == "…" else TESTS / found["file"]
            assert path.is_file(), f"{path} of: {fault}"
            if found["name"]:
                defined = re.search(rf"^(async )?def {found['name']}\(", path.read_text(), re.MULTILINE)
                assert defined, f"{found['name']} of: {fault}"
