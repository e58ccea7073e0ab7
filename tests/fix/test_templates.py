"""Dynamic sessions: peers that nobody named get a session and a store by what their CompID looks like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fix.acceptor import Acceptor, Refused
from fix.initiator import Initiator, Line
from fix.profiles.profile import Host
from fix.session import Role, SessionConfig
from fix.templates import Template, Templates
from tests.fix.peers import Desk, Venue, order, until
from tests.fix.test_runners import _said_to, logon

DESK = SessionConfig("SIMULATOR", "", Role.ACCEPTOR)
OLD = SessionConfig("SIMULATOR", "", Role.ACCEPTOR, "FIX.4.2")
TEMPLATES = (Template("DESK[0-9]", DESK, sessions_max=2), Template("OLD-.+", OLD, sessions_max=1))


@asynccontextmanager
async def accepting(folder: Path, venue: Venue) -> AsyncIterator[tuple[Acceptor, int]]:
    configure = Templates(TEMPLATES).config_of
    acceptor = Acceptor(folder, "SIMULATOR", venue, lambda _key, _logon: None, configure=configure)
    port = await acceptor.listen("127.0.0.1", 0)
    running = asyncio.create_task(acceptor.run())
    try:
        yield acceptor, port
    finally:
        await acceptor.close()
        running.cancel()


@asynccontextmanager
async def peer(
    folder: Path, name: str, port: int, version: str = "FIX.4.4"
) -> AsyncIterator[tuple[Initiator, Desk]]:
    desk = Desk()
    config = SessionConfig(name, "SIMULATOR", Role.INITIATOR, version)
    initiator = Initiator(folder / name, config, desk, Line((Host("127.0.0.1", port),)))
    running = asyncio.create_task(initiator.run())
    try:
        yield initiator, desk
    finally:
        await initiator.close()
        running.cancel()


async def test_peers_of_two_kinds_trade_at_one_port_each_with_a_store_of_its_own(tmp_path: Path) -> None:
    async with (
        accepting(tmp_path / "venue", Venue()) as (_, port),
        peer(tmp_path, "DESK1", port) as (one, heard_one),
        peer(tmp_path, "DESK2", port) as (two, heard_two),
        peer(tmp_path, "OLD-1", port, "FIX.4.2") as (old, heard_old),
    ):
        for number, each in enumerate((one, two, old)):
            each.session.send([order(f"O{number}")])
        await until(lambda: [d.heard for d in (heard_one, heard_two, heard_old)] == [["O0"], ["O1"], ["O2"]])
    assert sorted(path.name for path in (tmp_path / "venue").iterdir()) == ["DESK1", "DESK2", "OLD-1"]


async def test_a_peer_like_none_and_one_too_many_are_told_so_and_get_no_store(tmp_path: Path) -> None:
    async with accepting(tmp_path / "venue", Venue()) as (acceptor, port):
        for number in (1, 2):
            acceptor.open_session(f"DESK{number}")
        assert await _said_to(port, logon(1, sender="STRANGER")) == [
            "35=5|34=1|58=SenderCompID (49) 'STRANGER' is not known here, and is like none that is let in"
        ]
        assert await _said_to(port, logon(1, sender="DESK3")) == [
            "35=5|34=1|58=SenderCompID (49) 'DESK3': all 2 sessions of its kind are taken; use one that you have"
        ]
        with pytest.raises(Refused, match="all 2 sessions of its kind are taken"):
            acceptor.open_session("DESK3")
        assert len(acceptor.sessions()) == 2
    assert sorted(path.name for path in (tmp_path / "venue").iterdir()) == ["DESK1", "DESK2"]


async def test_sessions_are_counted_and_go_on_over_a_restart(tmp_path: Path) -> None:
    for life in range(2):
        async with (
            accepting(tmp_path / "venue", Venue()) as (acceptor, port),
            peer(tmp_path, "DESK1", port) as (one, desk),
        ):
            one.session.send([order(f"O{life}")])
            await until(lambda desk=desk, life=life: desk.heard == [f"O{life}"])
            acceptor.open_session("DESK2")
            with pytest.raises(Refused):
                acceptor.open_session("DESK3")


async def test_a_store_that_no_template_is_for_stays_closed_and_is_kept(tmp_path: Path) -> None:
    (tmp_path / "venue" / "SOMEBODY").mkdir(parents=True)
    async with accepting(tmp_path / "venue", Venue()) as (acceptor, _):
        assert acceptor.sessions() == []
    assert (tmp_path / "venue" / "SOMEBODY").is_dir()


def test_a_template_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="sessions_max 0; give 1 to 1024"):
        Template("A.*", DESK, sessions_max=0)
    with pytest.raises(ValueError, match="the role ACCEPTOR"):
        Template("A.*", SessionConfig("A", "", Role.INITIATOR))
