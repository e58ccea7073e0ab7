"""The process `drop-copy`: the port on which compliance clients hear the executions of their accounts.

A process of its own, and not sessions of the client door: it has no ring to put an order in, and what its clients read,
or do not, never takes a moment from an order. It serves once the shard is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from actors.view import StateView
from app.config import Config
from app.guards import Guards
from fix.acceptor import Acceptor
from fix.tls import TlsFiles, listening
from gateways.drop_copy import DropCopyDoor
from gateways.identity import Credentials
from services.serving import run_until_terminated
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import Gate, Reader
from shared_mem.log_reader import LogReader
from shared_mem.segment import SegmentMissing

COMP_ID: Final = "TRADEWIND"
# Tells the log's retention from where a restart reads it.
CURSOR: Final = "drop-copy"
# How often sessions are looked at that had no room, or were away.
ROOM_S: Final = 0.05
LOOK_S: Final = 0.02  # how often it looks for a shard that is starting too


def main(config: Config, ready: Callable[[], None]) -> None:
    """Until SIGTERM. Raises IdentityError, StoreError, LogError, OSError (the port): the supervisor restarts it."""
    run_until_terminated(_serve(config, ready))


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    view = await _attached(config)
    gate = Gate[config.gate.upper()]

    def open_log(position: int) -> LogReader:
        return LogReader(config.log_dir, config.run_dir, Reader.DROP_COPY, position, gate)

    credentials = Credentials.load(config.credentials_path)
    door = DropCopyDoor(shard=config.shard, credentials=credentials, view=view, open_log=open_log)
    folder = config.data_dir / "fix" / "drop-copies"
    guards = Guards(config, lambda session: folder / session.key.target)
    acceptor = Acceptor(folder, COMP_ID, door, door.admit, sync=config.syncs, guard=guards.wire)
    guards.end_with = acceptor.end_with
    door.attach(acceptor)
    tls = None
    if config.fix_tls_cert is not None:
        tls = listening(TlsFiles(config.fix_tls_cert, config.fix_tls_key, config.fix_tls_ca))
    following = _follow(door, open_log(0), CursorFile(config.cursors_dir, CURSOR))
    tasks = [asyncio.create_task(acceptor.run()), asyncio.create_task(following)]
    try:
        await acceptor.listen(config.host, config.ports.drop_copy, tls)
        ready()
        # Both are without end: the first to end has failed, and its error ends the role.
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await acceptor.close("the desk goes down; log on again when it is back")
        door.close()


async def _follow(door: DropCopyDoor, bell: LogReader, cursor: CursorFile) -> None:
    """Copies what the log has, and sleeps on its bell; `bell` only listens."""
    rung = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(bell.fileno(), rung.set)
    try:
        while True:
            if door.pump():
                await asyncio.sleep(0)
                continue
            rung.clear()
            bell.position = bell.end_position()
            cursor.save(Cursor(min(door.restarts_at, bell.position)))
            bell.park()
            if not door.pump():  # whatever came between the last read and the flag
                await _rung_or_a_moment(rung)
            bell.wake()
    finally:
        loop.remove_reader(bell.fileno())
        bell.close()


async def _rung_or_a_moment(rung: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(ROOM_S):
            await rung.wait()
    except TimeoutError:
        return


async def _attached(config: Config) -> StateView:
    while True:
        try:
            return StateView.attach(config.run_dir)
        except SegmentMissing:
            await asyncio.sleep(LOOK_S)
