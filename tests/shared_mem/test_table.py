"""A table that other processes read in place: never a torn row, full is an answer, a kill leaves the value before."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_mem import table
from shared_mem.segment import LayoutMismatch, SegmentMissing
from shared_mem.table import Table, TableError
from tests.shared_mem.desk import Child

ROW = np.dtype([("name", "S12"), ("number", "i8"), ("words", "i8", 30)], align=True)
BY_NUMBER = np.dtype([("kind", "u1"), ("number", "u4"), ("value", "i8")], align=True)


def filled(name: str, number: int) -> tuple[bytes, int, list[int]]:
    """A row full of its number, so that a torn one shows."""
    return name.encode(), number, [number] * 30


def number_in(row: np.void | None) -> int:
    assert row is not None
    number = int(row["number"])
    assert set(row["words"].tolist()) == {number}, "torn"
    return number


def test_what_was_put_is_found_by_its_key_and_in_its_order(run_dir: Path) -> None:
    owner = Table.create(run_dir / "t", ROW, 8, key="name")
    reader = Table.attach(run_dir / "t", ROW, key="name")
    assert [owner.put(filled(name, n)) for n, name in enumerate(["b", "a", "c"])] == [True] * 3
    assert owner.put(filled("a", 7))
    assert [(row["name"], number_in(row)) for row in reader] == [(b"b", 0), (b"a", 7), (b"c", 2)]
    assert number_in(reader.get("a")) == 7
    assert reader.get("nobody") is None
    assert len(reader) == 3
    assert [reader.row(n)[1] for n in range(3)] == [1, 2, 1]


def test_full_is_an_answer_and_changes_nothing(run_dir: Path) -> None:
    owner = Table.create(run_dir / "t", ROW, 3, key="name")
    assert [owner.put(filled(name, 1)) for name in "abcd"] == [True, True, True, False]
    assert owner.put(filled("b", 2)), "a key that is there still changes"
    assert [number_in(row) for row in owner] == [1, 2, 1]
    assert owner.get("d") is None


@settings(max_examples=30)
@given(puts=st.lists(st.tuples(st.integers(0, 40), st.integers(-(2**63), 2**63 - 1)), max_size=120))
def test_a_table_is_a_bounded_dict(
    puts: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keys of four bytes, not first in their row. The twin is Python's dict."""
    path = tmp_path_factory.mktemp("table") / "t"
    owner, twin = Table.create(path, BY_NUMBER, 16, key="number"), dict[int, int]()
    for number, value in puts:
        is_full = number not in twin and len(twin) == 16
        assert owner.put((1, number, value)) is not is_full
        if not is_full:
            twin[number] = value
    assert [(int(row["number"]), int(row["value"])) for row in owner] == list(twin.items())
    again = Table.attach(path, BY_NUMBER, key="number")
    for number in range(41):
        row = again.get(number)
        assert (None if row is None else int(row["value"])) == twin.get(number)


def test_a_row_is_read_in_place_and_a_moved_stamp_says_that_it_changed(run_dir: Path) -> None:
    owner = Table.create(run_dir / "t", ROW, 2, key="name")
    owner.put(filled("a", 1))
    reader = Table.attach(run_dir / "t", ROW, key="name")
    stamp = table.stamp_of(reader.address, 0)
    at = table.look(reader.address, 0, stamp) - reader.address
    in_place = np.frombuffer(reader._segment.memory, ROW, 1, at)[0]
    assert number_in(in_place) == 1
    assert table.is_still(reader.address, 0, stamp)
    owner.put(filled("a", 2))
    assert number_in(in_place) == 1, "the owner wrote the other copy"
    assert not table.is_still(reader.address, 0, stamp)


def test_what_can_not_be_a_table_is_named(run_dir: Path) -> None:
    with pytest.raises(TableError, match="fixed size are needed, and no objects"):
        Table.create(run_dir / "t", np.dtype([("a", "O")]), 8, key="a")
    with pytest.raises(TableError, match="'b' is no field of the rows; there are a"):
        Table.create(run_dir / "t", np.dtype([("a", "i8")]), 8, key="b")
    with pytest.raises(TableError, match="capacity 0"):
        Table.create(run_dir / "t", ROW, 0, key="name")
    with pytest.raises(SegmentMissing):
        Table.attach(run_dir / "t", ROW, key="name")
    Table.create(run_dir / "t", ROW, 8, key="name")
    with pytest.raises(LayoutMismatch, match="rows of another dtype or key"):
        Table.attach(run_dir / "t", ROW, key="number")


def test_an_owner_with_other_rows_begins_anew(run_dir: Path) -> None:
    first = np.dtype([("a", "i8"), ("b", "i8")])
    second = np.dtype([("a", "i8"), ("c", "i8")])
    Table.create(run_dir / "t", first, 4, key="a").put((1, 1))
    assert len(Table.create(run_dir / "t", first, 4, key="a")) == 1
    assert len(Table.create(run_dir / "t", second, 4, key="a")) == 0


def _write_forever(path: Path) -> None:
    owner = Table.create(path, ROW, 64, key="name")
    number = 1 + max((number_in(row) for row in owner), default=0)
    while True:
        for name in range(64):
            assert owner.put(filled(f"key {name}", number))
        number += 1


def test_an_owner_killed_anywhere_leaves_whole_rows_and_its_successor_goes_on(run_dir: Path) -> None:
    reader, last = None, 0
    for _ in range(12):
        child = Child(_write_forever, run_dir / "t")
        while reader is None:
            try:
                reader = Table.attach(run_dir / "t", ROW, key="name")
            except SegmentMissing:
                continue
        goal = last + 5
        while last < goal:
            row = reader.get("key 63")
            if row is not None:
                assert number_in(row) >= last
                last = number_in(row)
        child.kill()
        numbers = [number_in(row) for row in reader]
        assert len(numbers) == 64
        assert max(numbers) - min(numbers) <= 1
    assert Table.create(run_dir / "t", ROW, 64, key="name").put(filled("key 0", 0))


def _die_between_row_and_index(path: Path) -> None:
    """What `put` does for a new key, up to the row's count; then the kill."""
    owner = Table.create(path, ROW, 8, key="name")
    owner._row[0] = filled("added", 5)
    row = len(owner)
    table.write(owner.address, row, owner._row_address)
    owner._segment.view[table.COUNT : table.COUNT + 8] = (row + 1).to_bytes(8, "little")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_row_whose_owner_was_killed_before_it_was_indexed_is_found_by_the_next(run_dir: Path) -> None:
    Table.create(run_dir / "t", ROW, 8, key="name").put(filled("first", 1))
    Child(_die_between_row_and_index, run_dir / "t").join()
    assert Table.attach(run_dir / "t", ROW, key="name").get("added") is None
    again = Table.create(run_dir / "t", ROW, 8, key="name")
    assert number_in(again.get("added")) == 5
    assert again.put(filled("added", 6))
    assert [number_in(row) for row in again] == [1, 6]


def _die_before_it_counts(path: Path) -> None:
    owner = Table.create(path, ROW, 8, key="name")
    owner._row[0] = filled("half added", 5)
    table.write(owner.address, len(owner), owner._row_address)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_row_that_was_not_counted_yet_is_none(run_dir: Path) -> None:
    Table.create(run_dir / "t", ROW, 8, key="name").put(filled("first", 1))
    Child(_die_before_it_counts, run_dir / "t").join()
    again = Table.create(run_dir / "t", ROW, 8, key="name")
    assert [number_in(row) for row in again] == [1]
    assert again.put(filled("second", 2))
    assert number_in(again.get("second")) == 2
    assert again.row(1)[1] == 1


def _read_forever(path: Path) -> None:
    reader = Table.attach(path, ROW, key="name")
    while True:
        number_in(reader.get("a"))


def test_a_reader_killed_anywhere_leaves_no_trace(run_dir: Path) -> None:
    owner = Table.create(run_dir / "t", ROW, 2, key="name")
    owner.put(filled("a", 0))
    for number in range(1, 9):
        child = Child(_read_forever, run_dir / "t")
        for _ in range(2000):
            assert owner.put(filled("a", number))
        child.kill()
    assert number_in(owner.get("a")) == 8
