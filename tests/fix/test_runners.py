"""Initiator and acceptor over loopback TCP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from pathlib import Path

import pytest

from fix import durable
from fix.acceptor import Acceptor, only
from fix.codec import Framer
from fix.store import StoreError
from tests.fix.peers import Desk, Venue, accepting, initiating, order, report, until
from tests.fix.wire import from_peer, show


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_orders_go_out_and_reports_come_back(tmp_path: Path) -> None:
    desk, venue = Desk(), Venue()
    async with (
        accepting(tmp_path / "venue", venue) as (_, port),
        initiating(tmp_path / "desk", desk, port) as us,
    ):
        await until(lambda: us.session.is_logged_on)
        us.session.send([order("A"), order("B")], state=b"cursor")
        await until(lambda: desk.heard == ["A", "B"])
        assert us.session.state == b"cursor"
    assert (desk.logons, desk.logouts, venue.logons, venue.logouts) == (1, 1, 1, 1)


async def test_orders_sent_before_the_venue_is_up_reach_it_once(tmp_path: Path) -> None:
    desk, venue, port = Desk(), Venue(), free_port()
    async with initiating(tmp_path / "desk", desk, port) as us:
        us.session.send([order("A"), order("B")])
        await asyncio.sleep(0.3)
        async with accepting(tmp_path / "venue", venue, port):
            await until(lambda: desk.heard == ["A", "B"])
    assert venue.heard == ["A", "B"]


async def test_what_the_venue_says_to_an_absent_desk_waits_for_it(tmp_path: Path) -> None:
    desk, venue = Desk(), Venue()
    async with accepting(tmp_path / "venue", venue) as (acceptor, port):
        acceptor.open_session("TRADEWIND").send([report("X"), report("Y")], state=b"s")
        async with initiating(tmp_path / "desk", desk, port):
            await until(lambda: desk.heard == ["X", "Y"])


async def test_both_sides_go_on_with_their_numbers_after_a_restart(tmp_path: Path) -> None:
    desk, venue = Desk(), Venue()
    for life, name in enumerate("ABC"):
        async with (
            accepting(tmp_path / "venue", venue) as (_, port),
            initiating(tmp_path / "desk", desk, port) as us,
        ):
            await until(lambda: us.session.is_logged_on)
            assert us.session.next_out == 2 + 3 * life, "Logon, the order, Logout"
            us.session.send([order(name)])
            await until(lambda name=name: name in desk.heard)
    assert venue.heard == desk.heard == ["A", "B", "C"]


async def test_a_busy_application_stops_the_reading_and_loses_nothing(tmp_path: Path) -> None:
    desk, venue = Desk(), Venue()
    async with (
        accepting(tmp_path / "venue", venue) as (acceptor, port),
        initiating(tmp_path / "d", desk, port) as us,
    ):
        await until(lambda: us.session.is_logged_on)
        venue.busy = True
        us.session.send([order(str(i)) for i in range(5)])
        await until(lambda: venue.offered > 3)
        session = acceptor.session("TRADEWIND")
        assert session is not None
        assert session.next_in == 2, "nothing is stored as taken that was not"
        await asyncio.sleep(1.5)
        assert us.session.is_logged_on, "more than a heartbeat's silence, and nobody hung up"
        venue.busy = False
        await until(lambda: desk.heard == ["0", "1", "2", "3", "4"])
    assert venue.heard == desk.heard


async def test_a_connection_lost_while_the_application_is_busy_brings_the_message_again(
    tmp_path: Path,
) -> None:
    desk, venue = Desk(), Venue()
    async with (
        accepting(tmp_path / "venue", venue) as (_, port),
        initiating(tmp_path / "d", desk, port) as us,
    ):
        await until(lambda: us.session.is_logged_on)
        venue.busy = True
        us.session.send([order("A"), order("B")])
        await until(lambda: venue.offered > 0)
        us.session.hang_up()
        await until(lambda: venue.logouts == 1)
        venue.busy = False
        await until(lambda: desk.heard == ["A", "B"])
    assert venue.heard == ["A", "B"]


async def test_a_peer_that_does_not_read_is_cut_off_and_gets_all_by_resend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "OUTGOING_BYTES_MAX", 200_000)
    desk, venue = Desk(), Venue()
    async with accepting(tmp_path / "venue", venue) as (acceptor, port):
        deaf = socket.create_connection(("127.0.0.1", port))
        deaf.sendall(logon(1))
        session = None
        while session is None:
            await asyncio.sleep(0.01)
            session = acceptor.session("TRADEWIND")
        await until(lambda: session.is_logged_on)
        sent = 0
        while session.is_connected:
            session.send([report(f"{sent + i}") for i in range(500)])
            sent += 500
            await asyncio.sleep(0)
            assert sent < 200_000, "never cut off"
        deaf.close()
        async with initiating(tmp_path / "desk", desk, port):
            await until(lambda: len(desk.heard) >= sent, 60)
    assert desk.heard == [str(i) for i in range(sent)]


def logon(seq: int, sender: str = "TRADEWIND", target: str = "SIMULATOR", heartbeat_s: int = 30) -> bytes:
    return from_peer("A", seq, f"98=0|108={heartbeat_s}", time.time_ns(), sender, target)


async def _said_to(port: int, raw: bytes) -> list[str] | None:
    """What the acceptor answers before it closes; None if it stays open for a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    try:
        answer = await asyncio.wait_for(reader.read(), 1)
    except TimeoutError:
        return None
    finally:
        writer.close()
    framer = Framer()
    framer.feed(answer)
    return [show(frame) for frame in framer]


@pytest.mark.parametrize(
    "raw",
    [
        logon(1, target="SOMEBODY"),
        logon(1, sender="../../etc"),
        from_peer("0", 1, "", sender="TRADEWIND", target="SIMULATOR"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["other target", "bad comp id", "no logon", "no fix"],
)
async def test_a_connection_that_is_not_for_us_is_closed_without_a_word(tmp_path: Path, raw: bytes) -> None:
    async with accepting(tmp_path / "venue", Venue()) as (acceptor, port):
        assert await _said_to(port, raw) == []
        assert acceptor.sessions() == []


async def test_a_stranger_is_told_why_and_gets_no_store(tmp_path: Path) -> None:
    async with accepting(tmp_path / "venue", Venue()) as (acceptor, port):
        assert await _said_to(port, logon(1, sender="STRANGER")) == [
            "35=5|34=1|58=SenderCompID (49) 'STRANGER' is not known here"
        ]
        assert acceptor.sessions() == []
    assert list((tmp_path / "venue").iterdir()) == []


async def test_a_second_logon_of_a_connected_session_is_closed_and_the_first_goes_on(tmp_path: Path) -> None:
    desk, venue = Desk(), Venue()
    async with (
        accepting(tmp_path / "venue", venue) as (_, port),
        initiating(tmp_path / "desk", desk, port) as us,
    ):
        await until(lambda: us.session.is_logged_on)
        assert await _said_to(port, logon(9)) == []
        us.session.send([order("A")])
        await until(lambda: desk.heard == ["A"])


async def test_a_store_that_can_not_be_written_ends_the_runner(tmp_path: Path) -> None:
    venue = Venue()
    acceptor = Acceptor(tmp_path, "SIMULATOR", venue, only({"TRADEWIND"}))
    session = acceptor.open_session("TRADEWIND")
    port = await acceptor.listen("127.0.0.1", 0)
    running = asyncio.create_task(acceptor.run())
    await asyncio.sleep(0)
    session._store._close_segment()  # as if the disk were gone
    await _said_to(port, logon(1))
    with pytest.raises(StoreError):
        await running


async def test_an_initiator_is_not_refused_for_good_by_a_venue_that_is_late(tmp_path: Path) -> None:
    port, desk = free_port(), Desk()
    async with initiating(tmp_path / "desk", desk, port) as us:
        for life in range(2):
            async with accepting(tmp_path / "venue", Venue(), port):
                await until(lambda: us.session.is_logged_on)
            await until(lambda: not us.session.is_connected)
            assert desk.logons == life + 1


async def test_a_connection_that_says_nothing_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fix.acceptor.LOGON_TIMEOUT_NS", 200_000_000)
    async with accepting(tmp_path / "venue", Venue()) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_more_strangers_than_there_is_room_for_are_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fix.acceptor.UNKNOWN_CONNECTIONS_MAX", 3)
    desk = Desk()
    async with accepting(tmp_path / "venue", Venue()) as (_, port):
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        for _, stranger in strangers:
            stranger.close()
        async with initiating(tmp_path / "desk", desk, port):
            await until(lambda: desk.logons == 1)
