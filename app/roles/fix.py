"""The process `fix`: the session TRADEWIND -> SIMULATOR that takes orders to the venue and brings its
reports.

It waits for the shard, not for the venue: that one may come and go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from actors.shard import BELL_FILE, LANE_FILES, Lane
from actors.view import StateView
from app.config import Config
from fix.initiator import Initiator
from fix.log_follower import LogFollower
from fix.order_router import OrderRouter, cursor_of, expect_from
from services.serving import run_until_terminated
from shared_mem.bell import Bell
from shared_mem.log import CursorInvalid, Gate, LogReader, Reader, Tail
from shared_mem.ring import Ring
from shared_mem.segment import SegmentMissing

_log = logging.getLogger("tradewind.fix")

SENDER: Final = "TRADEWIND"
TARGET: Final = "SIMULATOR"
# A dead venue is known within 2.4 of these.
HEARTBEAT_S: Final = 5
# How often a venue that didn't keep up is looked at again.
ROOM_S: Final = 0.005
LOOK_S: Final = 0.02  # how often it looks for a shard that is starting too


def main(config: Config, ready: Callable[[], None]) -> None:
    """Until SIGTERM. Raises StoreError, LogError: the supervisor restarts it."""
    run_until_terminated(_serve(config, ready))


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    reports, view = await _attached(config)
    router = OrderRouter(config.shard, reports, lambda n: _symbol(view, n), lambda n: _account(view, n))
    initiator = Initiator(
        config.data_dir / "fix" / "venue",
        SENDER,
        TARGET,
        router,
        *config.venue_address,
        heartbeat_s=HEARTBEAT_S,
        sync=config.gate == "synced",
    )
    session = initiator.session
    expect_from(session, view.venue_seq())
    gate = Gate.SYNCED if config.gate == "synced" else Gate.WRITTEN
    reader = _reader(config, cursor_of(session), gate)
    follower = LogFollower(
        reader, lambda records: router.route(session, records), initiator.end_with, lambda: session.has_room
    )
    router.on_room = follower.pump
    tasks = [asyncio.create_task(initiator.run()), asyncio.create_task(_pump_when_there_is_room(follower))]
    follower.start()
    ready()
    try:
        # Both are without end: the first to end has failed, and its error ends the role.
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        follower.stop()
        await initiator.close("the desk goes down")
        for task in tasks:
            task.cancel()
        reader.close()


def _reader(config: Config, cursor: int, gate: Gate) -> LogReader:
    """From the cursor; or, when the log lost its end in a power cut at gate `written`, from where it ends now.

    What was sent from the lost part is at the venue: its reports are recorded as of unknown orders. Beginning
    anew would send every order of the log again."""
    try:
        return LogReader(config.log_dir, config.run_dir, Reader.FIX, cursor, gate)
    except CursorInvalid as error:
        end = Tail.attach(config.run_dir).written
        _log.error("%s. Going on from position %d: reconcile the venue's open orders with ours", error, end)
        return LogReader(config.log_dir, config.run_dir, Reader.FIX, end, gate)


async def _attached(config: Config) -> tuple[Ring, StateView]:
    while True:
        try:
            view = StateView.attach(config.run_dir)
            bell = Bell.attach(config.run_dir / BELL_FILE)
            return Ring.attach(config.run_dir / LANE_FILES[Lane.REPORTS_VENUE], bell=bell), view
        except SegmentMissing:
            await asyncio.sleep(LOOK_S)


def _symbol(view: StateView, number: int) -> str:
    instrument = view.instrument(number)
    assert instrument is not None, f"instrument {number} of an accepted order is in the state"
    return instrument.symbol


def _account(view: StateView, number: int) -> str:
    account = view.account(number)
    assert account is not None, f"account {number} of an accepted order is in the state"
    return account.text


async def _pump_when_there_is_room(follower: LogFollower) -> None:
    """The log's bell rings for new records only; for old ones that a slow venue held up, this does."""
    while True:
        await asyncio.sleep(ROOM_S)
        follower.resume()
