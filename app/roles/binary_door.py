"""The process `binary-door`: the port for clients of the binary protocol (docs/binary.md).

It serves once the shard is there and has taken what a former life of this process left in its ring.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from actors.shard import BELL_FILE, LANE_FILES, Lane
from actors.view import StateView
from app.config import Config
from fix.log_follower import LogFollower
from fix.tls import TlsFiles, listening
from gateways.binary.armed import ArmedAccounts
from gateways.binary.door import BinaryDoor
from gateways.binary.resume import Places, Resumes
from gateways.binary.server import Server
from gateways.identity import Credentials, Identity
from gateways.standby_watch import StandbyWatch
from services.serving import run_until_terminated
from shared_mem.bell import Bell
from shared_mem.log import Gate, Reader
from shared_mem.log_reader import LogReader
from shared_mem.ring import Ring
from shared_mem.segment import SegmentMissing

# How long the shard has to take what is in the ring before clients may log in (`gateways/binary/door.py`).
DRAIN_ROUNDS_MAX: Final = 100
DRAIN_S: Final = 0.01
LOOK_S: Final = 0.02  # how often it looks for a shard that is starting too


def main(config: Config, ready: Callable[[], None]) -> None:
    """Until SIGTERM. Raises IdentityError, LogError, OSError (the port): the supervisor restarts it."""
    run_until_terminated(_serve(config, ready))


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    orders, cancels, view = await _attached(config)

    def account_number(text: str) -> int | None:
        account = view.account_by_text(text)
        return None if account is None else account.account

    def open_log() -> LogReader:
        return LogReader(config.log_dir, config.run_dir, Reader.BINARY_DOOR, 0, Gate[config.gate.upper()])

    reader = open_log()
    await _drained(orders, cancels, reader)
    reader.position = reader.end_position()
    identity = Identity(Credentials.load(config.credentials_path), account_number)
    places = Places()
    door = BinaryDoor(
        shard=config.shard,
        authenticate=identity.account,
        rules_of=identity.fix_rules,
        view=view,
        orders=orders,
        cancels=cancels,
        resumes=Resumes(config.log_dir, open_log(), view, places),
        places=places,
        armed=ArmedAccounts(config.data_dir / "binary" / "armed", config.syncs),
        position=reader.position,
        refusal=StandbyWatch(config.run_dir).refusal,
    )
    tls = None
    if config.fix_tls_cert is not None:
        tls = listening(TlsFiles(config.fix_tls_cert, config.fix_tls_key, config.fix_tls_ca))
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end_with(error: BaseException) -> None:
        if not failed.done():
            failed.set_exception(error)

    server = Server(door, end_with)
    follower = LogFollower(reader, door.follow, end_with)
    running = asyncio.create_task(server.run())
    try:
        await server.listen(config.host, config.ports.binary, tls)
        follower.start()
        ready()
        # Neither ends but by an error, which ends the role.
        done, _ = await asyncio.wait((running, failed), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        follower.stop()
        running.cancel()
        await server.close()
        reader.close()


async def _drained(orders: Ring, cancels: Ring, reader: LogReader) -> None:
    """Until the shard has taken what a former life left in the rings, and its answers have passed the gate."""
    for _ in range(DRAIN_ROUNDS_MAX):
        if len(orders) + len(cancels) == 0 and reader.end_position() >= reader.tail.reached(Gate.WRITTEN):
            return
        await asyncio.sleep(DRAIN_S)


async def _attached(config: Config) -> tuple[Ring, Ring, StateView]:
    while True:
        try:
            view = StateView.attach(config.run_dir)
            bell = Bell.attach(config.run_dir / BELL_FILE)
            orders = Ring.attach(config.run_dir / LANE_FILES[Lane.ORDERS_BINARY_DOOR], bell=bell)
            cancels = Ring.attach(config.run_dir / LANE_FILES[Lane.CANCELS_BINARY_DOOR], bell=bell)
            return orders, cancels, view
        except SegmentMissing:
            await asyncio.sleep(LOOK_S)
