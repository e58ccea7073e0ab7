"""The FIX soak in small: half a minute, and that it sees what it is there to see."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import psutil

from fix.session import Sent
from fix.store import Store
from loadtests.soak_audit import RSS_GROWTH_KIB_MAX, Life, audit
from loadtests.soak_side import Counts, order, report
from tests.fix.wire import fix

ROOT = Path(__file__).resolve().parents[2]


async def test_sessions_come_through_resets_half_closes_and_kills_with_every_message_once() -> None:
    words = ("--minutes", "0.35", "--sessions", "4", "--every", "0.4", "--seed", "7", "--json")
    pipe = asyncio.subprocess.PIPE
    soak = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.fix_soak", *words, cwd=ROOT, stdout=pipe, stderr=pipe
    )
    out, err = await soak.communicate()
    assert soak.returncode == 0, err.decode()
    result = json.loads(out)
    assert result["violations"] == []
    assert min(result["disconnects"][kind] for kind in ("reset", "half_close", "kill")) > 0
    assert result["messages_to_acceptors"] > 100
    assert result["messages_to_initiators"] > result["messages_to_acceptors"]


def store_of(folder: Path, next_in: int, messages: list[Sent], counts: Counts) -> Path:
    store = Store(folder)
    store.append(next_in, messages, counts.raw)
    store.close()
    return folder


def sent(seq: int, name: int, msg_type: str) -> Sent:
    fields = (order if msg_type == "D" else report)(name)[1]
    body = "|".join(f"{int(tag)}={value}" for tag, value in fields)
    raw = fix(f"35={msg_type}|34={seq}|49=A|52=<TIME>|56=B|{body}")
    return Sent(seq, raw, False, True)


def test_the_audit_finds_what_was_lost_doubled_or_counted_wrong(tmp_path: Path) -> None:
    good = [sent(1, 0, "D"), sent(2, 1, "D")]
    near = store_of(tmp_path / "near", 1, good, Counts(2, 0, 0))
    assert audit("A", near, store_of(tmp_path / "far", 3, [], Counts(0, 2, 2))) == (2, 0, [])
    lost = store_of(tmp_path / "lost", 2, [], Counts(0, 1, 1))
    assert audit("A", near, lost)[2] == [
        "A: the initiator sent 2 messages, and 1 were heard",
        "A: the initiator is at number 3, its peer expects 2",
    ]
    doubled = store_of(tmp_path / "doubled", 1, [good[0], sent(2, 0, "D")], Counts(2, 0, 0))
    far = store_of(tmp_path / "far2", 3, [], Counts(0, 2, 2))
    assert audit("A", doubled, far)[2] == ["A: the initiator's store has message 0 where 1 is due"]


def test_a_process_that_grows_is_found() -> None:
    life = Life(psutil.Process(), 0.0)
    for second in range(3):
        life.look(float(second), warm_up_s=1, is_full=True)
    assert list(life.violations("it", is_last=True)) == []
    life.rss_end = life.rss_warm + RSS_GROWTH_KIB_MAX + 1
    life.files_end = life.files_warm + 1
    assert len(list(life.violations("it", is_last=True))) == 2
