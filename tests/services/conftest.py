"""Real servers for this room's tests: Postgres, NATS and the mailbox, on ports and in folders of their own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from app.embedded.nats import Nats
from app.embedded.postgres import Postgres
from app.embedded.server import EmbeddedServer
from services import mailbox
from services.mailbox import Maildir
from tests.services.desk import Desk

PASSWORD = "of-the-tests"

_numbers = count(1)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until `condition` holds; the patience is for a busy machine, and no assertion about time."""
    for _ in range(1200):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to hold")


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel it and see it end. It keeps its place with its effect: once is enough, and nothing is waited for."""
    task.cancel()
    _, running = await asyncio.wait([task], timeout=30)
    assert not running, f"it goes on though it was cancelled: {task}"


class Server:
    """An embedded server that a test can stop, pause, kill and start again."""

    def __init__(self, embedded: EmbeddedServer, log: Path) -> None:
        self.port = embedded.port
        self._embedded = embedded
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._embedded.prepare()
        with self._log.open("ab") as log:
            self._process = self._embedded.launch().spawn(log.fileno())
        while not self._embedded.is_ready(self._process.pid):
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.02)

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None


class NatsServer(Server):
    def __init__(self, home: Path) -> None:
        super().__init__(Nats(home, free_port(), PASSWORD), home / "nats.log")
        self.folder = home / "nats"
        self.url = f"nats://tradewind:{PASSWORD}@127.0.0.1:{self.port}"

    def wipe(self) -> None:
        shutil.rmtree(self.folder)


class PostgresServer(Server):
    def __init__(self, home: Path) -> None:
        super().__init__(Postgres(home, free_port(), PASSWORD), home / "postgres.log")

    def url(self, database: str) -> str:
        return f"postgresql://tradewind:{PASSWORD}@127.0.0.1:{self.port}/{database}"


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop(signal.SIGQUIT)


@pytest.fixture
async def postgres_url(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """A database of the test's own."""
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(postgres_server.url("tradewind"))
    await connection.execute(f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await connection.close()  # a test may have restarted the server
    connection = await asyncpg.connect(postgres_server.url("tradewind"))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
def a_maildir(tmp_path: Path) -> Maildir:
    return Maildir(tmp_path / "mailbox")


@pytest.fixture
async def mail_port(a_maildir: Maildir) -> AsyncIterator[int]:
    """The port of a running mailbox that keeps its mails in `a_maildir`."""
    port = free_port()
    server = await mailbox.serve(a_maildir, port)
    yield port
    server.close()


@pytest.fixture
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    """A shard's log, and someone who writes into it what a shard would."""
    desk = Desk(tmp_path / "log", tmp_path / "run")
    yield desk
    desk.close()


@pytest.fixture
def a_desk_factory(tmp_path: Path) -> Iterator[Callable[[], Desk]]:
    """A new desk, with a log of its own, for each example of a property."""
    desks: list[Desk] = []

    def make() -> Desk:
        while desks:
            desks.pop().close()
        home = tmp_path / f"desk-{next(_numbers)}"
        desks.append(Desk(home / "log", home / "run"))
        return desks[0]

    yield make
    while desks:
        desks.pop().close()
