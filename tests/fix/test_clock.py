"""The machine's clock set an hour on or back, or standing still, under a session: nobody is taken for dead by it, or
for alive, and our heartbeats go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fix.durable import DurableSession
from fix.session import Role, SessionConfig
from fix.store import Store
from fix.throttle import Throttle
from tests.fix.peers import Desk, order
from tests.fix.test_pace import ListWire
from tests.fix.wire import NOON_NS, from_peer

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
TICK = SECOND // 10


class Ending(ListWire):
    is_open = True

    def close(self) -> None:
        self.is_open = False

    abort = close


class Line:
    """A session with a heartbeat of 30 s, with a wall clock and a steady one of its own."""

    def __init__(self, folder: Path, throttle: Throttle | None = None) -> None:
        self.wall, self.steady = NOON_NS, 5 * SECOND
        self.runs = True
        self.seq = 0
        config = SessionConfig("DESK", "VENUE", Role.INITIATOR, sending_time_skew_ns_max=0)
        self.session = DurableSession(
            config, Store(folder / "store"), Desk(), lambda: self.wall, throttle, lambda: self.steady
        )
        self.wire = Ending()
        self.session.connected(self.wire)
        self.peer_says("A", "98=0|108=30")

    def peer_says(self, msg_type: str, body: str) -> None:
        self.seq += 1
        self.session.received(from_peer(msg_type, self.seq, body, self.wall, "VENUE", "DESK"))

    def pass_s(self, seconds: float, *, peer_lives: bool = True) -> list[str]:
        """What is written meanwhile. The peer's heartbeats come every 30 s."""
        before = len(self.wire.written)
        for step in range(1, int(seconds * 10) + 1):
            self.steady += TICK
            if self.runs:
                self.wall += TICK
            if peer_lives and step % 300 == 0:
                self.peer_says("0", "")
            self.session.tick()
        return self.wire.written[before:]


def on(line: Line) -> None:
    line.wall += HOUR


def back(line: Line) -> None:
    line.wall -= HOUR


def frozen(line: Line) -> None:
    line.runs = False


CLOCKS = pytest.mark.parametrize("clock", [on, back, frozen])


@CLOCKS
def test_heartbeats_go_on_and_the_peer_counts_as_alive(tmp_path: Path, clock: Callable[[Line], None]) -> None:
    line = Line(tmp_path)
    line.pass_s(30)
    clock(line)
    assert line.pass_s(300) == ["0"] * 10
    assert line.wire.is_open


@CLOCKS
def test_a_peer_that_died_is_found_dead_all_the_same(tmp_path: Path, clock: Callable[[Line], None]) -> None:
    line = Line(tmp_path)
    line.pass_s(10)
    clock(line)
    assert "1" in line.pass_s(45, peer_lives=False), "a TestRequest"
    line.pass_s(45, peer_lives=False)
    assert not line.wire.is_open


def test_data_that_comes_between_the_setting_and_the_next_look_does_not_count_double(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.pass_s(10)
    line.wall += HOUR
    line.peer_says("0", "")
    line.pass_s(90, peer_lives=False)
    assert not line.wire.is_open


@CLOCKS
def test_a_throttle_lets_through_as_many_as_before(tmp_path: Path, clock: Callable[[Line], None]) -> None:
    line = Line(tmp_path, Throttle(10, SECOND))
    line.pass_s(10)
    clock(line)
    line.session.send([order(str(i)) for i in range(10)])
    assert line.session.room() == 0
    line.pass_s(1.1)
    assert line.session.room() == 10
