"""QuickFIX on the other end, in both roles: logon, orders and reports, resend after a kill, logout."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.fix.peers import Desk, Venue, accepting, initiating, order, report, until
from tests.fix.quickfix_peer import QuickFix
from tests.fix.test_runners import free_port

Start = Callable[[int], Awaitable[QuickFix]]


@pytest.fixture
async def made() -> AsyncIterator[list[QuickFix]]:
    """The peers of a test, killed at its end."""
    peers: list[QuickFix] = []
    yield peers
    for peer in peers:
        await peer.kill()


@pytest.fixture
def quickfix_venue(tmp_path: Path, made: list[QuickFix]) -> Start:
    async def start(port: int) -> QuickFix:
        made.append(await QuickFix.start("acceptor", tmp_path / "qf", port, "SIMULATOR", "TRADEWIND", {}))
        return made[-1]

    return start


@pytest.fixture
def quickfix_desk(tmp_path: Path, made: list[QuickFix]) -> Start:
    async def start(port: int) -> QuickFix:
        made.append(await QuickFix.start("initiator", tmp_path / "qf", port, "TRADEWIND", "SIMULATOR", {}))
        return made[-1]

    return start


async def test_our_orders_and_its_reports(tmp_path: Path, quickfix_venue: Start) -> None:
    desk, port = Desk(), free_port()
    venue = await quickfix_venue(port)
    async with initiating(tmp_path / "desk", desk, port) as us:
        await until(lambda: venue.is_logged_on and us.session.is_logged_on)
        us.session.send([order("A"), order("B")])
        await until(lambda: desk.heard == ["A", "B"])
        us.session.logout()
        await until(lambda: not venue.is_logged_on)
    assert venue.names() == ["A", "B"]


async def test_our_orders_sent_while_it_was_away_are_resent_to_it(
    tmp_path: Path, quickfix_venue: Start
) -> None:
    desk, port = Desk(), free_port()
    async with initiating(tmp_path / "desk", desk, port) as us:
        us.session.send([order(str(i)) for i in range(300)])
        venue = await quickfix_venue(port)
        await until(lambda: len(desk.heard) == 300)
    assert venue.names() == desk.heard == [str(i) for i in range(300)]


async def test_its_reports_lost_on_the_wire_are_resent_to_us(tmp_path: Path, quickfix_venue: Start) -> None:
    desk, port = Desk(), free_port()
    venue = await quickfix_venue(port)
    async with initiating(tmp_path / "desk", desk, port) as us:
        await until(lambda: us.session.is_logged_on)
        us.session.send([order("A")])
        await until(lambda: desk.heard == ["A"])
        us.session.hang_up()
        for name in ("B", "C"):
            venue.send(report(name))
        await until(lambda: desk.heard == ["A", "B", "C"], 20)


async def test_we_expect_again_what_was_not_kept_downstream(tmp_path: Path, quickfix_venue: Start) -> None:
    port = free_port()
    await quickfix_venue(port)
    first, second = Desk(), Desk()
    async with initiating(tmp_path / "desk", first, port) as us:
        await until(lambda: us.session.is_logged_on)
        us.session.send([order("A"), order("B"), order("C")])
        await until(lambda: first.heard == ["A", "B", "C"])
    async with initiating(tmp_path / "desk", second, port) as us:
        us.session.rewind(3)  # Logon 1, report A 2
        await until(lambda: second.heard == ["B", "C"])


async def test_its_orders_and_our_reports(tmp_path: Path, quickfix_desk: Start) -> None:
    venue = Venue()
    async with accepting(tmp_path / "venue", venue) as (_, port):
        desk = await quickfix_desk(port)
        await until(lambda: desk.is_logged_on)
        desk.send(order("A"))
        await until(lambda: desk.names() == ["A"])
        await desk.stop()
        await until(lambda: venue.logouts == 1)
    assert venue.heard == ["A"]


async def test_our_reports_sent_while_it_was_away_are_resent_to_it(
    tmp_path: Path, quickfix_desk: Start
) -> None:
    venue, port = Venue(), free_port()
    async with accepting(tmp_path / "venue", venue, port) as (acceptor, _):
        desk = await quickfix_desk(port)
        await until(lambda: desk.is_logged_on)
        session = acceptor.session("TRADEWIND")
        assert session is not None
        session.send([report("A")])
        await until(lambda: desk.names() == ["A"])
        session.hang_up()
        session.send([report("B"), report("C")])
        await until(lambda: desk.names() == ["A", "B", "C"], 20)


async def test_its_orders_to_a_venue_that_restarts_are_answered_once(
    tmp_path: Path, quickfix_desk: Start
) -> None:
    venue, port = Venue(), free_port()
    async with accepting(tmp_path / "venue", venue, port) as (acceptor, _):
        desk = await quickfix_desk(port)
        await until(lambda: desk.is_logged_on)
        desk.send(order("A"))
        await until(lambda: desk.names() == ["A"])
        for session in acceptor.sessions():
            session.hang_up()  # QuickFIX 1.16 does not connect again after a Logout of the acceptor
    await until(lambda: not desk.is_logged_on)
    for name in ("B", "C"):
        desk.send(order(name))
    async with accepting(tmp_path / "venue", venue, port):
        await until(lambda: desk.names() == ["A", "B", "C"], 20)
    assert venue.heard == ["A", "B", "C"]


async def test_quickfix_killed_in_the_middle_is_answered_once(tmp_path: Path, quickfix_desk: Start) -> None:
    venue = Venue()
    async with accepting(tmp_path / "venue", venue) as (_, port):
        desk = await quickfix_desk(port)
        desk.send(*(order(str(i)) for i in range(200)))
        await until(lambda: len(venue.heard) > 50)
        await desk.kill()
        desk = await quickfix_desk(port)
        await until(lambda: desk.is_logged_on)
        desk.send(order("last"))
        await until(lambda: "last" in desk.names())
    assert venue.heard == list(dict.fromkeys(venue.heard))
