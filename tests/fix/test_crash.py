"""Real kill -9 of a real process in the middle of its work: nothing lost, nothing doubled, on either side."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from pathlib import Path

from tests.fix.peers import Desk, Venue, accepting, initiating, order, until

KILLS = 6
TOTAL = 3_000
ROOT = Path(__file__).resolve().parents[2]


async def _spawn(role: str, folder: Path, port: int) -> asyncio.subprocess.Process:
    arguments = ("-m", "tests.fix.child", role, str(folder), str(port), str(TOTAL))
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)


async def _kill_again_and_again(role: str, folder: Path, port: int, progress: Callable[[], int]) -> None:
    """Starts it, kills it once it has got further, KILLS times; the last life lives to the end."""
    dice = random.Random(1)
    for life in range(KILLS + 1):
        child = await _spawn(role, folder, port)
        try:
            goal = TOTAL if life == KILLS else min(progress() + dice.randrange(1, 300), TOTAL)
            await until(lambda goal=goal: progress() >= goal, 60)
        finally:
            child.kill()
            await child.wait()


async def test_a_desk_that_is_killed_sends_every_order_once(tmp_path: Path) -> None:
    venue = Venue()
    async with accepting(tmp_path / "venue", venue) as (_, port):
        await _kill_again_and_again("desk", tmp_path / "desk", port, lambda: len(venue.heard))
    assert venue.heard == [str(i) for i in range(TOTAL)]
    # It may take a report twice, across a kill, but never none; its application has to bear that
    # (`on_message`).
    notes = [int(line) for line in (tmp_path / "desk.notes").read_text().split()]
    assert set(range(notes[-1] + 1)) == set(notes)


async def test_a_venue_that_is_killed_answers_every_order_once(tmp_path: Path) -> None:
    desk = Desk()
    async with accepting(tmp_path / "free", Desk()) as (_, port):
        pass
    async with initiating(tmp_path / "desk", desk, port) as us:
        us.session.send([order(str(i)) for i in range(100)])
        feeding = asyncio.create_task(_feed(us.session.send, 100))
        await _kill_again_and_again("venue", tmp_path / "venue", port, lambda: len(desk.heard))
        await feeding
    assert desk.heard == [str(i) for i in range(TOTAL)]


async def _feed(send: Callable[..., None], at: int) -> None:
    while at < TOTAL:
        send([order(str(at))])
        at += 1
        if at % 20 == 0:
            await asyncio.sleep(0.01)
