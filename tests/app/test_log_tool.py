"""`tradewind log`: what a person asks of the log is answered from it, and a word that can't be meant is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.config import run_dir_of
from core.records import BreakKind
from core.units import cash_e6
from shared_mem import log
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import segment_numbers
from tests.actors.desk import SEGMENT_BYTES, Desk, account, deposit
from tests.shared_mem.desk import flip

Shown = pytest.CaptureFixture[str]


@pytest.fixture
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk with two accounts; orders of the first; its data folder is tmp_path / data."""
    data = tmp_path / "data"
    run_dir = run_dir_of(data)
    desk = Desk(data / "log", run_dir)
    desk.open_market()
    desk.do(account("TW000002"))
    desk.do(deposit(cash_e6(5), account=2))
    for _ in range(3):
        desk.buy()
    desk.flusher.flush()
    yield desk
    desk.close()
    shutil.rmtree(run_dir)


def data_dir(desk: Desk) -> Path:
    return desk.log_dir.parent


def rows(desk: Desk, shown: Shown, *words: str, action: str = "cat") -> list[dict[str, Any]]:
    assert main(["log", action, "--json", *words, "--data-dir", str(data_dir(desk))]) == 0
    return [json.loads(line) for line in shown.readouterr().out.splitlines()]


def fault(desk: Desk, shown: Shown, *words: str, action: str = "cat") -> str:
    assert main(["log", action, *words, "--data-dir", str(data_dir(desk))]) == 1
    found = shown.readouterr()
    assert len(found.err.splitlines()) == 1
    return found.err


def test_every_record_is_shown_with_its_header_and_in_its_units(a_desk: Desk, capsys: Shown) -> None:
    everything = rows(a_desk, capsys)
    assert [row["seq"] for row in everything] == list(range(1, 17))
    paid = next(row for row in everything if row["kind"] == "cash")
    assert paid["cash"] == "1000000"
    assert main(["log", "cat", "--data-dir", str(data_dir(a_desk))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16
    assert "cash=1000000" in lines[5]


def test_account_by_name_and_by_number(a_desk: Desk, capsys: Shown) -> None:
    by_name = rows(a_desk, capsys, "--account", "TW000002")
    assert {row["account"] for row in by_name} == {2}
    assert {row["kind"] for row in by_name} == {"account", "deposit", "cash"}
    assert rows(a_desk, capsys, "--account", "2") == by_name
    assert rows(a_desk, capsys, "--account", "77") == []


def test_a_word_that_a_command_and_its_event_share_shows_both(a_desk: Desk, capsys: Shown) -> None:
    a_desk.break_found(BreakKind.MISSING_HERE)
    found = rows(a_desk, capsys, "--kind", "break")
    assert [row["kind"] for row in found] == ["break", "break"]
    assert found[1]["cause_seq"] == found[0]["seq"]


def test_order_kind_and_time(a_desk: Desk, capsys: Shown) -> None:
    orders = rows(a_desk, capsys, "--kind", "order")
    assert len(orders) == 3
    second = orders[1]
    of_it = rows(a_desk, capsys, "--order", str(second["order_id"]))
    assert second in of_it
    assert {row["order_id"] for row in of_it} == {second["order_id"]}
    both = rows(a_desk, capsys, "--kind", "order,cash")
    assert {row["kind"] for row in both} == {"order", "cash"}
    assert rows(a_desk, capsys, "--kind", "order", "--since", second["time"]) == orders[1:]
    assert rows(a_desk, capsys, "--kind", "order", "--until", second["time"]) == orders[:1]
    assert rows(a_desk, capsys, "--since", second["time"] + "+00:00", "--until", "2999-01-01") == rows(
        a_desk, capsys, "--since", second["time"]
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--kind", "ordr"), "--kind 'ordr' is no kind of record; did you mean order?"),
        (("--kind", "zzz"), "--kind 'zzz' is no kind of record; there are "),
        (("--order", "-5"), "--order '-5' is no number"),
        (("--order", "9" * 30), "is no number; give one as"),
        (("--since", "yesterday"), "--since 'yesterday' is no time; give one like 2026-11-24T09:30:00"),
        (("--since", "2026-01-02", "--until", "2026-01-01"), "--until '2026-01-01' is not after --since"),
        (("--account", "NOBODY"), "--account 'NOBODY' was not opened in what is kept of this log"),
    ],
)
def test_a_word_that_can_not_be_meant_is_named(
    a_desk: Desk, capsys: Shown, words: tuple[str, ...], text: str
) -> None:
    assert text in fault(a_desk, capsys, *words)


def test_following_shows_what_comes(a_desk: Desk) -> None:
    command = [sys.executable, "-m", "app.cli", "log", "cat", "--follow", "--json", "--kind", "cash"]
    following = subprocess.Popen(
        [*command, "--data-dir", str(data_dir(a_desk))], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert following.stdout is not None
    try:
        assert [json.loads(following.stdout.readline())["cash"] for _ in range(2)] == ["1000000", "5"]
        a_desk.do(deposit(cash_e6(7), account=2))
        log.ring_bells(a_desk.writer.tail.address, a_desk.writer.bell_fds.ctypes.data, 1)
        assert json.loads(following.stdout.readline())["cash"] == "12"
    finally:
        following.kill()
        following.wait()


def test_without_a_tail_the_files_are_read_and_nothing_can_be_followed(a_desk: Desk, capsys: Shown) -> None:
    before = rows(a_desk, capsys)
    log.tail_path(a_desk.run_dir).unlink()
    assert rows(a_desk, capsys) == before
    assert "nothing writes the log in" in fault(a_desk, capsys, "--follow")
    assert "disk_end" not in rows(a_desk, capsys, action="stat")[0]


def test_no_log_is_told(tmp_path: Path, capsys: Shown) -> None:
    for action in ("cat", "verify", "stat"):
        assert main(["log", action, "--data-dir", str(tmp_path)]) == 1
        assert "no log in" in capsys.readouterr().err


def test_verify_names_the_place_of_damage(a_desk: Desk, capsys: Shown) -> None:
    found = rows(a_desk, capsys, action="verify")[0]
    assert (found["ok"], found["last_seq"], found["end"]) == (True, 16, a_desk.writer.position)
    a_desk.buy()
    a_desk.flusher.flush()
    flip(log.segment_path(a_desk.log_dir, 0), 40)
    assert main(["log", "verify", "--data-dir", str(data_dir(a_desk))]) == 1
    assert "damaged at offset 0 " in capsys.readouterr().err


def test_stat_tells_the_flush_window_and_why_each_segment_is_kept(a_desk: Desk, capsys: Shown) -> None:
    while a_desk.writer.position < 2 * SEGMENT_BYTES:
        a_desk.do(deposit(cash_e6(1)))
    a_desk.flusher.flush()
    CursorFile(data_dir(a_desk) / "cursors", "snapshots").save(Cursor(2 * SEGMENT_BYTES, 1))
    slow = CursorFile(data_dir(a_desk) / "cursors", "slow")
    slow.save(Cursor(SEGMENT_BYTES + 8, 1))
    found = rows(a_desk, capsys, action="stat")[0]
    assert found["synced"] == found["written"] == a_desk.writer.position
    assert found["flush"]["flushes"] >= 2
    assert found["flush"]["bytes_max"] >= found["flush"]["bytes"] > 0
    assert found["disk_end"] is None
    assert found["cursors"] == {"slow": SEGMENT_BYTES + 8, "snapshots": 2 * SEGMENT_BYTES}
    assert [s["kept_for"] for s in found["segments"]][:2] == ["its age", "cursor slow"]
    assert main(["log", "stat", "--data-dir", str(data_dir(a_desk))]) == 0
    text = capsys.readouterr().out
    assert "flush window: last " in text
    assert "kept for cursor slow" in text
    a_desk.writer.tail.set_word(log.DISK_END, 3 * SEGMENT_BYTES)
    assert main(["log", "stat", "--data-dir", str(data_dir(a_desk))]) == 0
    assert f"THE DISK IS FULL: there is room up to position {3 * SEGMENT_BYTES}" in capsys.readouterr().out


def test_a_trimmed_log_is_shown_from_where_it_begins(a_desk: Desk, capsys: Shown) -> None:
    while a_desk.writer.position < 2 * SEGMENT_BYTES:
        a_desk.do(deposit(cash_e6(1)))
    a_desk.flusher.flush()
    log.segment_path(a_desk.log_dir, 0).unlink()
    shown = rows(a_desk, capsys)
    assert shown[0]["position"] == SEGMENT_BYTES
    assert segment_numbers(a_desk.log_dir)[0] == 1
    assert rows(a_desk, capsys, action="verify")[0]["first_segment"] == 1
    log.tail_path(a_desk.run_dir).unlink()
    assert rows(a_desk, capsys) == shown
    assert "was not opened in what is kept" in fault(a_desk, capsys, "--account", "TW000001")
