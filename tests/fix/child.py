"""A small process for the crash tests: `child.py venue|desk FOLDER PORT TOTAL [CERT KEY CA]`. Made to be killed at
any moment."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from fix.acceptor import Acceptor, only
from fix.codec import Message
from fix.durable import DurableSession, Outgoing
from fix.initiator import Initiator, Line
from fix.profiles.profile import Host
from fix.session import Role, SessionConfig
from fix.tags import Tag
from fix.tls import TlsFiles, connecting, listening
from tests.fix.peers import Venue, order


class NumberedDesk:
    """Sends the orders 0..total-1; how far it is stands in the session's state. Notes every report in a
    file."""

    def __init__(self, notes: Path, total: int) -> None:
        self._notes = notes
        self._total = total

    def on_logon(self, session: DurableSession) -> None:
        asyncio.get_running_loop().call_soon(self._go_on, session)

    def on_logout(self, session: DurableSession) -> None:
        pass

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        with self._notes.open("a") as notes:
            notes.write(message.require(Tag.ClOrdID) + "\n")
        return []

    def _go_on(self, session: DurableSession) -> None:
        at = int(session.state or b"0")
        if at < self._total and session.is_logged_on:
            session.send([order(str(at))], state=b"%d" % (at + 1))
            asyncio.get_running_loop().call_soon(self._go_on, session)


class NotingVenue(Venue):
    """Notes every order in a file."""

    def __init__(self, notes: Path) -> None:
        super().__init__()
        self._notes = notes

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        with self._notes.open("a") as notes:
            notes.write(message.require(Tag.ClOrdID) + "\n")
        return super().on_message(session, message)


async def venue(folder: Path, port: int, tls: TlsFiles | None) -> None:
    application = NotingVenue(folder.with_suffix(".notes"))
    acceptor = Acceptor(folder, "SIMULATOR", application, only({"TRADEWIND"}))
    await acceptor.listen("127.0.0.1", port, listening(tls) if tls else None)
    await acceptor.run()


async def desk(folder: Path, port: int, total: int, tls: TlsFiles | None) -> None:
    application = NumberedDesk(folder.with_suffix(".notes"), total)
    config = SessionConfig("TRADEWIND", "SIMULATOR", Role.INITIATOR)
    initiator = Initiator(
        folder, config, application, Line((Host("127.0.0.1", port),), connecting(tls) if tls else None)
    )
    await initiator.run()


if __name__ == "__main__":
    role, where, port_text, total_text, *paths = sys.argv[1:]
    files = TlsFiles(*map(Path, paths)) if paths else None
    work = (
        venue(Path(where), int(port_text), files)
        if role == "venue"
        else desk(Path(where), int(port_text), int(total_text), files)
    )
    uvloop.run(work)
