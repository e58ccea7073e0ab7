"""A cursor file has one whole cursor at every moment; it may be behind its follower, never ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared_mem.cursors import BEGINNING, Cursor, CursorFile, saved_cursors
from tests.shared_mem.desk import Child


def test_a_cursor_is_found_again(tmp_path: Path) -> None:
    first = CursorFile(tmp_path / "cursors", "one")
    assert first.load() == BEGINNING
    for n in range(5):
        first.save(Cursor(8 * n, n), sync=n == 3)
    first.close()
    assert CursorFile(tmp_path / "cursors", "one").load() == Cursor(32, 4)
    CursorFile(tmp_path / "cursors", "two").save(Cursor(2**62, 2**62))
    assert saved_cursors(tmp_path / "cursors") == {"one": Cursor(32, 4), "two": Cursor(2**62, 2**62)}
    assert saved_cursors(tmp_path / "none") == {}


def test_a_save_torn_at_any_byte_leaves_the_one_before(tmp_path: Path) -> None:
    file = CursorFile(tmp_path, "c")
    file.save(Cursor(100, 1))
    file.save(Cursor(200, 2))
    before = file.path.read_bytes()
    file.save(Cursor(300, 3))
    after = file.path.read_bytes()
    written = [at for at in range(len(after)) if at >= len(before) or before[at] != after[at]]
    for cut in range(len(after) + 1):
        file.path.write_bytes(after[:cut] + before[cut:])
        whole = all(at < cut for at in written)
        assert CursorFile(tmp_path, "c").load() == (Cursor(300, 3) if whole else Cursor(200, 2)), cut


@pytest.mark.parametrize(
    "content", [b"", b"x", b'{"position":1,"seq":2}', bytes(40), bytes(80), b"\xff" * 80]
)
def test_a_file_that_is_no_cursor_is_the_beginning(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    assert saved_cursors(tmp_path) == {"c": BEGINNING}
    file = CursorFile(tmp_path, "c")
    assert file.load() == BEGINNING
    file.save(Cursor(5, 6))
    assert CursorFile(tmp_path, "c").load() == Cursor(5, 6)


def _save_forever(folder: Path) -> None:
    file = CursorFile(folder, "c")
    n = file.load().seq
    while True:
        n += 1
        file.save(Cursor(8 * n, n))


def test_a_follower_killed_anywhere_leaves_a_whole_cursor_that_never_goes_back(tmp_path: Path) -> None:
    last = 0
    for _ in range(15):
        child = Child(_save_forever, tmp_path)
        goal = last + 500
        while saved_cursors(tmp_path).get("c", BEGINNING).seq < goal:
            pass
        child.kill()
        found = saved_cursors(tmp_path)["c"]
        assert found.position == 8 * found.seq
        assert found.seq >= goal
        last = found.seq
