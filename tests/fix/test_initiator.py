"""Which host an initiator goes to, when, and with which numbers: over real sockets."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fix.initiator import Initiator, Line
from fix.profiles.profile import Host
from fix.schedule import NS_PER_S, Schedule
from fix.session import Role, SessionConfig
from tests.fix.peers import Desk, Venue, accepting, initiating, order, until
from tests.fix.test_runners import free_port


def hosts(*ports: int) -> tuple[Host, ...]:
    return tuple(Host("127.0.0.1", port) for port in ports)


class Deaf(asyncio.Protocol):
    """A host that takes connections and hangs up when it is spoken to: its engine is down."""

    def __init__(self, came: list[int]) -> None:
        self._came = came

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._came.append(1)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.close()


@asynccontextmanager
async def deaf_host(port: int = 0) -> AsyncIterator[tuple[int, list[int]]]:
    """Its port, and a mark for each connection that came."""
    came: list[int] = []
    server = await asyncio.get_running_loop().create_server(lambda: Deaf(came), "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()


async def test_the_next_host_is_tried_when_one_does_not_listen(tmp_path: Path) -> None:
    desk = Desk()
    async with accepting(tmp_path / "venue", Venue()) as (_, port):
        line = Line(hosts(free_port(), port))
        async with initiating(tmp_path / "desk", desk, port, line) as us:
            us.session.send([order("A")])
            await until(lambda: desk.heard == ["A"])


async def test_the_next_host_is_tried_when_one_connects_and_does_not_log_on(tmp_path: Path) -> None:
    """QuickFIX/J #402, #1260: a port that is open is not yet a venue."""
    desk = Desk()
    async with deaf_host() as (deaf, came), accepting(tmp_path / "venue", Venue()) as (_, port):
        async with initiating(tmp_path / "desk", desk, port, Line(hosts(deaf, port))) as us:
            us.session.send([order("A")])
            await until(lambda: desk.heard == ["A"])
        assert came == [1], "the Logon's failure, not the connection, is what sends us on"


async def test_the_next_host_is_tried_when_one_refuses_the_logon(tmp_path: Path) -> None:
    desk = Desk()
    async with (
        accepting(tmp_path / "other", Venue(), admit=lambda _key, _logon: "not today") as (_, closed),
        accepting(tmp_path / "venue", Venue()) as (_, port),
        initiating(tmp_path / "desk", desk, port, Line(hosts(closed, port))),
    ):
        await until(lambda: desk.logons == 1)


async def test_after_a_logon_the_first_host_comes_first_again(tmp_path: Path) -> None:
    desk, first = Desk(), free_port()
    async with (
        accepting(tmp_path / "venue", Venue()) as (_, second),
        initiating(tmp_path / "desk", desk, second, Line(hosts(first, second))) as us,
    ):
        await until(lambda: desk.logons == 1)
        async with deaf_host(first) as (_, came):
            us.session.hang_up()
            await until(lambda: desk.logons == 2)
            assert came == [1]


async def test_a_round_of_hosts_that_fails_is_followed_by_a_longer_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses that are asked for, not the time that passes."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    desk = Desk()
    config = SessionConfig("TRADEWIND", "SIMULATOR", Role.INITIATOR)
    line = Line(hosts(free_port(), free_port()))
    initiator = Initiator(tmp_path, config, desk, line, chance=lambda: 0.5)
    monkeypatch.setattr("fix.initiator.asyncio.sleep", noted)
    connecting = asyncio.create_task(initiator._keep_connected())
    while len(pauses) < 16:
        await sleep(0.001)
    connecting.cancel()
    monkeypatch.undo()
    await initiator.close()
    between_rounds = pauses[1:16:2]
    assert pauses[0:16:2] == [0.1] * 8, "within a round the next host is tried soon"
    assert between_rounds == pytest.approx([0.075, 0.15, 0.3, 0.6, 1.2, 2.4, 3.75, 3.75]), (
        "doubled, bounded, a quarter off by chance"
    )


def test_a_line_needs_a_host() -> None:
    with pytest.raises(ValueError, match="a line needs a host"):
        Line(())


# --- hours ---------------------------------------------------------------------------------------------------


class Clock:
    """The real time, moved: `at` says what it is now."""

    def __init__(self, at: str) -> None:
        self.at(at)

    def at(self, text: str) -> None:
        wanted = int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp() * NS_PER_S)
        self._offset = wanted - time.time_ns()

    def __call__(self) -> int:
        return time.time_ns() + self._offset


DAY = Schedule(start_time=dt.time(8), end_time=dt.time(17))


@asynccontextmanager
async def by_the_clock(
    folder: Path, desk: Desk, port: int, clock: Callable[[], int], line: Line
) -> AsyncIterator[Initiator]:
    # No heartbeats: a clock that is moved by hours would end the connection as silent.
    config = SessionConfig(
        "TRADEWIND", "SIMULATOR", Role.INITIATOR, heartbeat_s=0, sending_time_skew_ns_max=0
    )
    initiator = Initiator(folder, config, desk, line, clock=clock)
    running = asyncio.create_task(initiator.run())
    try:
        yield initiator
    finally:
        await initiator.close()
        running.cancel()


async def test_a_days_session_begins_and_ends_by_its_schedule_with_its_own_numbers(tmp_path: Path) -> None:
    clock, desk, venue = Clock("2026-11-24T07:30"), Desk(), Venue()
    async with accepting(tmp_path / "venue", venue, clock=clock) as (_, port):
        line = Line(hosts(port), schedule=DAY, reset_each_session=True)
        async with by_the_clock(tmp_path / "desk", desk, port, clock, line) as us:
            await asyncio.sleep(0.6)
            assert venue.logons == 0, "before the hours nobody connects"
            clock.at("2026-11-24T08:00")
            await until(lambda: us.session.is_logged_on)
            us.session.send([order("A"), order("B")])
            await until(lambda: desk.heard == ["A", "B"])
            us.session.hang_up()
            await until(lambda: desk.logons == 2)
            assert us.session.next_out == 5, "a connection lost within the day goes on: Logon, A, B, Logon"
            clock.at("2026-11-24T17:00")
            await until(lambda: desk.logouts == 2)
            assert us.session.next_out == 6, "a Logout ended it"
            clock.at("2026-11-25T08:00")
            await until(lambda: desk.logons == 3)
            assert us.session.next_out == 2, "141=Y: the new day's Logon is number 1"
            us.session.send([order("C")])
            await until(lambda: desk.heard == ["A", "B", "C"])
    assert venue.heard == ["A", "B", "C"]


async def test_a_restart_within_the_day_goes_on_and_one_on_the_next_day_begins_anew(tmp_path: Path) -> None:
    clock, desk = Clock("2026-11-24T09:00"), Desk()
    numbers = []
    async with accepting(tmp_path / "venue", Venue(), clock=clock) as (_, port):
        line = Line(hosts(port), schedule=DAY, reset_each_session=True)
        for at in ("2026-11-24T09:00", "2026-11-24T10:00", "2026-11-25T09:00"):
            clock.at(at)
            async with by_the_clock(tmp_path / "desk", desk, port, clock, line) as us:
                await until(lambda us=us: us.session.is_logged_on)  # type: ignore[misc]
                numbers.append(us.session.next_out)
    assert numbers == [2, 4, 2], "Logon and Logout are two numbers a life"
