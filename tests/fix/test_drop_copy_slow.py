"""A compliance client that does not read: the log waits for it, it is cut off, and it goes on where it stopped."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from pathlib import Path

from actors.state_file import create_state, publish_state
from actors.tables import Capacity
from actors.view import StateView
from core import ids
from core.records import EventKind, Side
from fix import timestamps
from fix.acceptor import Acceptor
from fix.codec import Message, encode
from fix.durable import DurableSession, Outgoing
from fix.initiator import Initiator, Line
from fix.profiles.profile import Host
from fix.session import Role, SessionConfig
from fix.tags import Tag
from gateways.drop_copy import SLOW_NS, DropCopyDoor
from gateways.drop_copy_keys import DropCopyKey
from gateways.identity import Credentials
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader
from tests.fix.peers import Desk as Peer
from tests.services.desk import Desk

# More than the kernel's buffers of a connection and ours hold together.
EVENTS = 15_000
LOGON = ((int(Tag.Username), "KEY"), (int(Tag.Password), "a secret"))


class Listener(Peer):
    def __init__(self) -> None:
        super().__init__()
        self.exec_ids: list[str] = []

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        self.exec_ids.append(message.require(Tag.ExecID))
        return []


def is_connected(session: DurableSession) -> bool:
    return session.is_connected


def never_reads(port: int) -> socket.socket:
    """Logs on, and that is all."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    header = [
        (35, "A"),
        (49, "AUDIT"),
        (56, "TRADEWIND"),
        (34, "1"),
        (52, timestamps.format_ns(time.time_ns())),
    ]
    client.sendall(encode("FIX.4.4", [*header, (98, "0"), (108, "600"), *LOGON]))
    return client


async def test_a_client_that_does_not_read_is_cut_off_and_goes_on_where_it_stopped(
    tmp_path: Path, run_dir: Path
) -> None:
    create_state(run_dir, Capacity(16, 16, 16, 16))
    publish_state(run_dir)
    desk = Desk(tmp_path / "log", run_dir)
    key = DropCopyKey("AUDIT", "KEY", hashlib.sha256(b"a secret").hexdigest(), "all")
    now = [1]
    door = DropCopyDoor(
        shard=0,
        credentials=Credentials([], None, [key]),
        view=StateView.attach(run_dir),
        open_log=lambda position: LogReader(desk.log_dir, run_dir, Reader.DROP_COPY, position),
        clock=lambda: now[0],
    )
    acceptor = Acceptor(tmp_path / "fix", "TRADEWIND", door, door.admit)
    door.attach(acceptor)
    port = await acceptor.listen("127.0.0.1", 0)
    running = asyncio.create_task(acceptor.run())
    session = acceptor.session("AUDIT")
    assert session is not None
    order = desk.accept(desk.open_account(), desk.define_instrument(), Side.BUY, "10", "100")
    for _ in range(EVENTS):
        desk.acknowledge(order)

    slow = never_reads(port)
    while not session.is_logged_on:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    while session.has_room:
        assert door.pump(), "its socket took everything; make EVENTS more"
        await asyncio.sleep(0)
    stored = session.next_out
    for _ in range(50):
        assert not door.pump()
        await asyncio.sleep(0)
    assert session.next_out == stored < EVENTS, "the log waits for it"
    assert is_connected(session)
    now[0] += SLOW_NS
    door.pump()
    assert not is_connected(session)
    slow.close()

    listener = Listener()
    config = SessionConfig("AUDIT", "TRADEWIND", Role.INITIATOR, logon_fields=LOGON)
    initiator = Initiator(tmp_path / "client", config, listener, Line((Host("127.0.0.1", port),)))
    listening = asyncio.create_task(initiator.run())
    async with asyncio.timeout(60):
        while len(listener.exec_ids) < EVENTS + 1:  # noqa: ASYNC110  it is the test that pumps
            await asyncio.sleep(0 if door.pump() else 0.01)
    reader = LogReader(desk.log_dir, run_dir, Reader.AUDIT)
    wanted: list[str] = []
    while records := reader.read():
        wanted += [str(ids.execution_uuid(0, r.seq)) for r in records if r.kind == EventKind.ORDER]
    assert listener.exec_ids == wanted
    await initiator.close()
    await acceptor.close()
    for task in (running, listening):
        task.cancel()
    door.close()
    reader.close()
    desk.close()
