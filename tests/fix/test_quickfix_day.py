"""A day in small with QuickFIX, plain and over TLS, in both roles: orders, gaps, kill -9 on both sides, resends, a
logout, and the next day's numbers. Every message is accounted for on both sides."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from fix.acceptor import Acceptor, only
from fix.initiator import Initiator, Line
from fix.profiles.profile import Host
from fix.session import Role, SessionConfig
from fix.store import Store
from fix.tls import TlsFiles, connecting, listening
from tests.fix.certificates import Authority
from tests.fix.peers import Desk, Venue, order, report, until
from tests.fix.quickfix_peer import QuickFix, numbers_of, tls_settings
from tests.fix.test_runners import free_port

ROOT = Path(__file__).resolve().parents[2]
TOTAL = 400
DESK, VENUE = "TRADEWIND", "SIMULATOR"


class Peers:
    """QuickFIX, life after life: what all of them heard."""

    def __init__(self, kind: str, folder: Path, port: int, files: TlsFiles | None) -> None:
        self._names = (DESK, VENUE) if kind == "initiator" else (VENUE, DESK)
        self._kind, self._port, self._files = kind, port, files
        self.folder = folder
        self.lives: list[QuickFix] = []

    async def start(self, **settings: str) -> QuickFix:
        if self._files is not None:
            settings |= tls_settings(self._kind, self._files)
        self.lives.append(
            await QuickFix.start(self._kind, self.folder, self._port, *self._names, {}, settings)
        )
        return self.lives[-1]

    def heard(self) -> list[str]:
        """ClOrdIDs in the order they came, over all lives."""
        return [name for life in self.lives for name in life.names() if name is not None]

    def heard_again(self) -> list[str | None]:
        """Those that came a second time and were not marked as possibly so."""
        seen: set[str | None] = set()
        again = []
        for message in (message for life in self.lives for message in life.heard):
            if message.get(11) in seen and not message.poss_dup:
                again.append(message.get(11))
            seen.add(message.get(11))
        return again

    def numbers(self) -> tuple[int, int]:
        return numbers_of(self.folder, *self._names)


def has_heard(peers: Peers, names: int) -> bool:
    return len(set(peers.heard())) >= names


class Papers:
    """Whose certificates are shown on the lines of a day; None on a plain one."""

    def __init__(self, authority: Authority | None) -> None:
        self._authority = authority

    def of(self, name: str) -> TlsFiles | None:
        return None if self._authority is None else self._authority.certificate(name)


@pytest.fixture(params=["plain", "TLS"])
def papers(tmp_path: Path, request: pytest.FixtureRequest) -> Papers:
    return Papers(Authority(tmp_path / "tls") if request.param == "TLS" else None)


@pytest.fixture
async def children() -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Our processes and theirs, killed at the test's end."""
    running: list[asyncio.subprocess.Process] = []
    yield running
    for child in running:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def spawn(role: str, folder: Path, port: int, files: TlsFiles | None) -> asyncio.subprocess.Process:
    arguments = ("-m", "tests.fix.child", role, str(folder), str(port), str(TOTAL), *map(str, files or ()))
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)


async def kill(child: asyncio.subprocess.Process) -> None:
    child.kill()
    await child.wait()


def notes_of(folder: Path) -> list[str]:
    path = folder.with_suffix(".notes")
    return path.read_text().split() if path.exists() else []


@asynccontextmanager
async def initiator_of(
    folder: Path, desk: Desk, line: Line, reset_on_logon: bool = False
) -> AsyncIterator[Initiator]:
    config = SessionConfig(DESK, VENUE, Role.INITIATOR, reset_on_logon=reset_on_logon)
    initiator = Initiator(folder, config, desk, line)
    running = asyncio.create_task(initiator.run())
    try:
        yield initiator
    finally:
        running.cancel()
        await initiator.close()


@asynccontextmanager
async def acceptor_of(
    folder: Path, venue: Venue, port: int, tls: ssl.SSLContext | None
) -> AsyncIterator[Acceptor]:
    acceptor = Acceptor(folder, VENUE, venue, only({DESK}))
    await acceptor.listen("127.0.0.1", port, tls)
    running = asyncio.create_task(acceptor.run())
    try:
        yield acceptor
    finally:
        running.cancel()
        await acceptor.close()


async def test_a_day_with_quickfix_as_the_venue(
    tmp_path: Path, papers: Papers, children: list[asyncio.subprocess.Process]
) -> None:
    port, ours = free_port(), papers.of("desk.test")
    venue = Peers("acceptor", tmp_path / "qf", port, papers.of("127.0.0.1"))
    desk = tmp_path / "desk"
    await venue.start()
    for goal in (60, 140, 220, 300):  # one side dies, then the other
        children.append(await spawn("desk", desk, port, ours))
        await until(partial(has_heard, venue, goal), 60)
        if goal in (140, 300):
            await venue.lives[-1].kill()
            await venue.start()
        await kill(children[-1])
    children.append(await spawn("desk", desk, port, ours))
    await until(lambda: len(set(notes_of(desk))) >= TOTAL, 60)
    await kill(children[-1])

    line = Line((Host("127.0.0.1", port),), connecting(ours) if ours else None)
    evening = Desk()
    async with initiator_of(desk, evening, line) as us:  # a gap: reports that come while we are away
        await until(lambda: us.session.is_logged_on, 30)
        us.session.hang_up()
        venue.lives[-1].send(report("late 1"), report("late 2"))
        await until(lambda: evening.heard[-2:] == ["late 1", "late 2"], 30)
        us.session.send([order("last")])
        await until(lambda: evening.heard[-1] == "last", 30)
        us.session.logout()
        await until(lambda: evening.logouts == 2, 30)
    store = Store(desk)
    assert (store.next_in, store.next_out) == venue.numbers(), "both sides count the same"
    store.close()
    assert list(dict.fromkeys(venue.heard())) == [*map(str, range(TOTAL)), "last"]
    assert venue.heard_again() == []
    assert set(notes_of(desk)) == set(map(str, range(TOTAL)))

    morning = Desk()
    async with initiator_of(desk, morning, line, reset_on_logon=True) as us:
        await until(lambda: us.session.is_logged_on, 30)
        us.session.send([order("tomorrow")])
        await until(lambda: morning.heard == ["tomorrow"], 30)
        assert (us.session.next_in, us.session.next_out) == (3, 3) == venue.numbers()
    await venue.lives[-1].kill()


async def test_a_day_with_quickfix_as_the_client(
    tmp_path: Path, papers: Papers, children: list[asyncio.subprocess.Process]
) -> None:
    port, ours = free_port(), papers.of("127.0.0.1")
    desk = Peers("initiator", tmp_path / "qf", port, papers.of("desk.test"))
    venue = tmp_path / "venue"
    children.append(await spawn("venue", venue, port, ours))
    names: list[str] = []
    for life in range(4):
        quickfix = await desk.start()
        await until(partial(getattr, quickfix, "is_logged_on"), 60)
        for _ in range(50):
            names.append(str(len(names)))
            quickfix.send(order(names[-1]))
        await until(lambda: len(set(notes_of(venue))) >= len(names) - 25, 60)
        if life % 2:
            await kill(children[-1])  # in the middle of the batch
            children.append(await spawn("venue", venue, port, ours))
        await until(lambda: set(names) <= set(desk.heard()), 60)
        await quickfix.kill()
    await kill(children[-1])
    assert list(dict.fromkeys(notes_of(venue))) == names, "each in its order"
    assert desk.heard_again() == []

    evening = Venue()
    async with acceptor_of(venue, evening, port, listening(ours) if ours else None) as acceptor:
        quickfix = await desk.start()
        await until(lambda: quickfix.is_logged_on, 60)
        session = acceptor.session(DESK)
        assert session is not None
        session.hang_up()
        session.send([report("late 1"), report("late 2")])  # a gap for QuickFIX
        await until(lambda: desk.heard()[-2:] == ["late 1", "late 2"], 60)
        quickfix.send(order("last"))
        await until(lambda: desk.heard()[-1] == "last", 60)
        await quickfix.stop()
        await until(lambda: evening.logouts == 2, 30)
        assert (session.next_out, session.next_in) == tuple(reversed(desk.numbers())), (
            "both sides count the same"
        )
        assert evening.heard == ["last"]

        quickfix = await desk.start(ResetOnLogon="Y")  # the next day
        await until(lambda: quickfix.is_logged_on, 60)
        quickfix.send(order("tomorrow"))
        await until(lambda: quickfix.names() == ["tomorrow"], 60)
        assert (session.next_in, session.next_out) == (3, 3) == desk.numbers()
        await quickfix.kill()
