"""The process `fix-door`: the port for FIX clients.

It serves once the shard is there and it has read the log to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from actors.shard import BELL_FILE, LANE_FILES, Lane
from actors.view import StateView
from app.config import Config
from app.guards import Guards
from fix.acceptor import Acceptor
from fix.log_follower import LogFollower
from fix.tls import TlsFiles, listening
from gateways.fix_door import FixDoor
from gateways.fix_rules import client_sessions
from gateways.identity import Credentials, Identity
from gateways.standby_watch import StandbyWatch
from services.serving import run_until_terminated
from shared_mem.bell import Bell
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import Gate, Reader
from shared_mem.log_reader import LogReader
from shared_mem.ring import Ring
from shared_mem.segment import SegmentMissing

COMP_ID: Final = "TRADEWIND"
# How long the shard has to take what is in the ring before clients may log on (`gateways/fix_door.py`).
DRAIN_ROUNDS_MAX: Final = 100
DRAIN_S: Final = 0.01
TICK_S: Final = 0.05  # how often dropped sessions are looked at
LOOK_S: Final = 0.02  # how often it looks for a shard that is starting too


def main(config: Config, ready: Callable[[], None]) -> None:
    """Until SIGTERM. Raises StoreError, LogError, OSError (the port): the supervisor restarts it."""
    run_until_terminated(_serve(config, ready))


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    orders, cancels, view = await _attached(config)

    def account_number(text: str) -> int | None:
        account = view.account_by_text(text)
        return None if account is None else account.account

    identity = Identity(Credentials.load(config.credentials_path), account_number)
    door = FixDoor(
        shard=config.shard,
        authenticate=identity.account,
        rules_of=identity.fix_rules,
        view=view,
        orders=orders,
        cancels=cancels,
        refusal=StandbyWatch(config.run_dir).refusal,
    )
    folder = config.data_dir / "fix" / "clients"
    configure = client_sessions(COMP_ID, config.fix_lenient)
    guards = Guards(config, lambda session: folder / session.key.target)
    acceptor = Acceptor(
        folder, COMP_ID, door, door.admit, config.syncs, configure=configure, guard=guards.wire
    )
    guards.end_with = acceptor.end_with
    tls = None
    if config.fix_tls_cert is not None:
        tls = listening(TlsFiles(config.fix_tls_cert, config.fix_tls_key, config.fix_tls_ca))
    gate = Gate[config.gate.upper()]
    position = door.attach(acceptor)
    reader = LogReader(config.log_dir, config.run_dir, Reader.FIX_DOOR, position or 0, gate)
    if position is None:
        reader.position = reader.end_position()
        door.begin_at(reader.position)
    await _catch_up(door, reader, orders)
    follower = LogFollower(reader, door.follow, acceptor.end_with)
    running = asyncio.create_task(acceptor.run())
    ticking = asyncio.create_task(_tick(door, acceptor, CursorFile(config.cursors_dir, "fix-door")))
    try:
        await acceptor.listen(config.host, config.ports.fix, tls)
        follower.start()
        ready()
        await running
    finally:
        follower.stop()
        await acceptor.close("the desk goes down; log on again when it is back")
        running.cancel()
        ticking.cancel()
        reader.close()


async def _tick(door: FixDoor, acceptor: Acceptor, cursor_file: CursorFile) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        try:
            door.tick()
            cursor_file.save(Cursor(door.cursor))  # it says how much of the log is kept
        except Exception as error:
            # The role must end: a client's orders would stay open that it was promised are cancelled.
            acceptor.end_with(error)
            return


async def _attached(config: Config) -> tuple[Ring, Ring, StateView]:
    while True:
        try:
            view = StateView.attach(config.run_dir)
            bell = Bell.attach(config.run_dir / BELL_FILE)
            orders = Ring.attach(config.run_dir / LANE_FILES[Lane.ORDERS_FIX_DOOR], bell=bell)
            cancels = Ring.attach(config.run_dir / LANE_FILES[Lane.CANCELS_FIX_DOOR], bell=bell)
            return orders, cancels, view
        except SegmentMissing:
            await asyncio.sleep(LOOK_S)


async def _catch_up(door: FixDoor, reader: LogReader, orders: Ring) -> None:
    """Until the shard has taken what a former life left in the ring, and the door has read its answers."""
    for _ in range(DRAIN_ROUNDS_MAX):
        if len(orders) == 0:
            break
        await asyncio.sleep(DRAIN_S)
    while records := reader.read():
        door.follow(records)
        await asyncio.sleep(0)
