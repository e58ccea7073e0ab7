"""The process `venue-copy`: takes the venue's drop copy of our executions and reconciles it with the log
(`fix/venue_copy.py`): TRADEWIND-DC -> SIMULATOR, or what TRADEWIND_DROP_COPY_FILE says.

It waits for the shard, not for the venue. With another venue and no file for its drop copy there is nothing to take:
it says so, and waits for SIGTERM.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from actors.shard import BELL_FILE, LANE_FILES, Lane
from actors.view import StateView
from app.config import VENUE_HOST, Config
from app.guards import Guards
from app.options import Address
from fix.initiator import Initiator
from fix.log_follower import LogFollower
from fix.profiles.profile import Host
from fix.venue import Venue, line_to, session_config, venue_of_file
from fix.venue_copy import VenueCopy
from services.serving import run_until_terminated
from shared_mem.bell import Bell
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import CursorInvalid, Gate, Reader, Tail
from shared_mem.log_reader import LogReader
from shared_mem.ring import Ring
from shared_mem.segment import SegmentMissing

_log = logging.getLogger("tradewind.venue-copy")

# The drop copy of this stack's simulator (fix/simulator/copies.py).
SIMULATOR_COPY: Final = Venue(profile="simulator", sender="TRADEWIND-DC", target="SIMULATOR")
# Tells the log's retention from where a restart reads it.
CURSOR: Final = "venue-copy"
TICK_S: Final = 0.05
LOOK_S: Final = 0.02  # how often it looks for a shard that is starting too
_NS_PER_MS: Final = 1_000_000


def main(config: Config, ready: Callable[[], None]) -> None:
    """Until SIGTERM. Raises StoreError, LogError, ProfileError: the supervisor restarts it."""
    run_until_terminated(_serve(config, ready))


def source_of(config: Config) -> Venue | None:
    """Whose drop copy is taken; None for nobody's. Raises ProfileError."""
    if config.drop_copy_file is not None:
        return venue_of_file(config.drop_copy_file)
    own = config.venue_file is None and config.venue_address == Address(VENUE_HOST, config.ports.venue)
    return SIMULATOR_COPY if own else None


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    venue = source_of(config)
    if venue is None:
        _log.warning("no drop copy of this venue is taken; name one with TRADEWIND_DROP_COPY_FILE")
        (config.cursors_dir / CURSOR).unlink(missing_ok=True)  # or it would hold the log for ever
        ready()
        await asyncio.Event().wait()
        return
    breaks, view = await _attached(config)
    copy = VenueCopy(config.shard, breaks, lambda n: _symbol(view, n), config.drop_copy_grace_ms * _NS_PER_MS)
    profile = venue.its_profile()
    hosts = (Host(*config.venue_address),) if venue is SIMULATOR_COPY else venue.hosts
    folder = config.data_dir / "fix" / f"copy-{venue.sender}-{venue.target}"
    guards = Guards(config, lambda _session: folder)
    initiator = Initiator(
        folder,
        session_config(profile, venue.sender, venue.target, venue.secrets, venue.folder),
        copy,
        line_to(profile, hosts, venue.tls_files),
        sync=config.syncs,
        guard=guards.wire,
    )
    guards.end_with = initiator.end_with
    gate = Gate[config.gate.upper()]
    reader = _reader(config, copy, copy.attach(initiator.session), gate)
    await _catch_up(copy, reader, breaks)
    follower = LogFollower(reader, copy.take, initiator.end_with, copy.may_read)
    ticking = _tick(copy, initiator, follower, reader, CursorFile(config.cursors_dir, CURSOR))
    tasks = [asyncio.create_task(initiator.run()), asyncio.create_task(ticking)]
    follower.start()
    ready()
    try:
        # Both are without end: the first to end has failed, and its error ends the role.
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        follower.stop()
        copy.checkpoint(initiator.session)
        await initiator.close("the desk goes down")
        for task in tasks:
            task.cancel()
        reader.close()


def _reader(config: Config, copy: VenueCopy, position: int | None, gate: Gate) -> LogReader:
    """From where the snapshot stands; or, when the log lost its end in a power cut, from where it ends now."""
    end = Tail.attach(config.run_dir).written
    try:
        reader = LogReader(config.log_dir, config.run_dir, Reader.VENUE_COPY, position or 0, gate)
    except CursorInvalid as error:
        copy.begin_anew(str(error))
        position = None
        reader = LogReader(config.log_dir, config.run_dir, Reader.VENUE_COPY, end, gate)
    if position is None:
        reader.position = reader.end_position()
        copy.begin_at(reader.position)
    return reader


async def _attached(config: Config) -> tuple[Ring, StateView]:
    while True:
        try:
            view = StateView.attach(config.run_dir)
            bell = Bell.attach(config.run_dir / BELL_FILE)
            return Ring.attach(config.run_dir / LANE_FILES[Lane.BREAKS], bell=bell), view
        except SegmentMissing:
            await asyncio.sleep(LOOK_S)


async def _catch_up(copy: VenueCopy, reader: LogReader, breaks: Ring) -> None:
    """Until the shard has taken the breaks that a former life left in the ring, and the log has been read: so that
    none is raised twice."""
    while len(breaks):  # noqa: ASYNC110  the shard, which empties it, is another process
        await asyncio.sleep(LOOK_S)
    while copy.may_read() and (records := reader.read()):
        copy.take(records)
        await asyncio.sleep(0)


async def _tick(
    copy: VenueCopy, initiator: Initiator, follower: LogFollower, reader: LogReader, cursor: CursorFile
) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        copy.tick(initiator.session, reader.position >= reader.end_position())
        follower.resume()
        cursor.save(Cursor(copy.restarts_at))


def _symbol(view: StateView, number: int) -> str:
    instrument = view.instrument(number)
    assert instrument is not None, f"instrument {number} of a booked execution is in the state"
    return instrument.symbol
