"""A publisher killed at each send to NATS, and at each write of its cursor: the stream is the log, each event once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.strace import injected, needs_strace
from tests.services.conftest import NatsServer
from tests.services.desk import Desk
from tests.services.test_publisher import assert_stream_is_the_log, published, running, trade

_FORK = multiprocessing.get_context("fork")
TRADES = 20
# Of one run: many more calls than are asked for.
EVENTS_MAX = 20_000
# Until it has sent what there is, or is dead; nothing is measured by it.
PATIENCE_S = 60.0
QUICK = (("sendto", 2), ("sendto", 7), ("pwrite64", 1), ("pwrite64", 2))
# Its connection's opening, a batch of each kind, and its cursor: later calls are like one of these.
CALLS = 24


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop(signal.SIGKILL)


@pytest.fixture
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "log", tmp_path / "run")
    desk.open_account()
    desk.define_instrument()
    yield desk
    desk.close()


def _publish(desk: Desk, url: str, go: int) -> None:
    os.read(go, 1)
    asyncio.run(desk.publisher(url).run())


def killed_at(desk: Desk, url: str, call: str, number: int) -> bool:
    """One publisher, that publishes until it is killed by the fault; False when it never made that call."""
    before = len(desk.event_seqs)
    go_read, go_write = os.pipe()
    child = _FORK.Process(target=_publish, args=(desk, url, go_read), daemon=True)
    child.start()
    assert child.pid is not None
    os.close(go_read)
    with injected(child.pid, f"{call}:signal=KILL:when={number}"):
        os.write(go_write, b"!")
        until = time.monotonic() + PATIENCE_S
        while child.is_alive() and time.monotonic() < until:
            trade(desk, TRADES)
            time.sleep(0.02)
            if len(desk.event_seqs) - before > EVENTS_MAX:
                break
        met = not child.is_alive()
        if not met:
            child.kill()
        child.join()
    os.close(go_write)
    return met


async def is_the_log(desk: Desk, url: str) -> None:
    async with running(desk.publisher(url)):
        await published(desk, url)
    await assert_stream_is_the_log(desk, url)


@pytest.mark.parametrize(("call", "number"), QUICK)
def test_a_publisher_killed_at_a_call_leaves_no_hole_and_no_double(
    a_desk: Desk, nats_server: NatsServer, call: str, number: int
) -> None:
    needs_strace()
    assert killed_at(a_desk, nats_server.url, call, number), "the call was never made"
    asyncio.run(is_the_log(a_desk, nats_server.url))


@pytest.mark.faults
@pytest.mark.parametrize("call", ["sendto", "pwrite64"])
def test_a_publisher_killed_at_each_call_leaves_no_hole_and_no_double(
    a_desk: Desk, nats_server: NatsServer, call: str, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_strace()
    met = sum(killed_at(a_desk, nats_server.url, call, number) for number in range(1, CALLS + 1))
    assert met == CALLS
    asyncio.run(is_the_log(a_desk, nats_server.url))
    with capsys.disabled():
        print(f"\npublisher, {call}: killed at each of {met} calls")  # noqa: T201
