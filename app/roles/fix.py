"""The process `fix`: the session that takes orders to the venue and brings its reports: TRADEWIND -> SIMULATOR,
or what a venue file says (TRADEWIND_VENUE_FILE, `fix/venue.py`).

It waits for the shard, not for the venue: that one may come and go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from actors.fates import open_orders
from actors.shard import BELL_FILE, LANE_FILES, Lane
from actors.view import StateView
from app.config import Config
from app.guards import Guards
from fix.initiator import Initiator
from fix.inquiry import Inquiry
from fix.log_follower import LogFollower
from fix.order_bodies import OrderBodies
from fix.order_router import OrderRouter, cursor_of, expect_from, follow_lost_store
from fix.profiles.profile import Host
from fix.venue import Venue, dictionary_of, line_to, session_config, venue_of_file
from services.serving import run_until_terminated
from shared_mem.bell import Bell
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import CursorInvalid, Gate, Reader, Tail
from shared_mem.log_reader import LogReader
from shared_mem.ring import Ring
from shared_mem.segment import SegmentMissing

_log = logging.getLogger("tradewind.fix")

# The venue without a file: this stack's simulator, or one that is like it.
SIMULATOR: Final = Venue(profile="simulator", sender="TRADEWIND", target="SIMULATOR")
# How often a venue that didn't keep up is looked at again.
ROOM_S: Final = 0.005
LOOK_S: Final = 0.02  # how often it looks for a shard that is starting too


def main(config: Config, ready: Callable[[], None]) -> None:
    """Until SIGTERM. Raises StoreError, LogError: the supervisor restarts it."""
    run_until_terminated(_serve(config, ready))


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    reports, view = await _attached(config)
    venue = SIMULATOR if config.venue_file is None else venue_of_file(config.venue_file)
    profile, hosts = venue.its_profile(), () if config.venue_file else (Host(*config.venue_address),)
    tail = Tail.attach(config.run_dir)
    inquiry = Inquiry(
        config.shard,
        lambda: open_orders(view),
        reports.try_push,
        by_mass=profile.order_status == "mass",
        epoch=lambda: view.epoch,
    )
    router = OrderRouter(
        config.shard,
        reports,
        lambda n: _symbol(view, n),
        lambda n: _account(view, n),
        OrderBodies(dictionary_of(profile, venue.folder), profile.extra.order, profile.time_digits),
        inquiry,
        logs_out=profile.throttle is not None and profile.throttle.breach == "logout",
    )
    # A session's numbers are between two parties: another venue gets a store of its own.
    name = "venue" if venue is SIMULATOR else f"venue-{venue.sender}-{venue.target}"
    folder = config.data_dir / "fix" / name
    guards = Guards(config, lambda _session: folder)
    initiator = Initiator(
        folder,
        session_config(profile, venue.sender, venue.target, venue.secrets, venue.folder),
        router,
        line_to(profile, hosts or venue.hosts, venue.tls_files),
        sync=config.syncs,
        guard=guards.wire,
    )
    guards.end_with = initiator.end_with
    session = initiator.session
    end = tail.written
    if follow_lost_store(session, view.venue_seq(), end):
        _log.error(
            "the session's store is new, though reports of an earlier one were applied: going on from position %d of "
            "the log; what was sent before is asked about",
            end,
        )
    expect_from(session, view.venue_seq())
    gate = Gate[config.gate.upper()]
    reader = _reader(config, cursor_of(session), gate)
    follower = LogFollower(
        reader,
        lambda records: router.route(session, records),
        initiator.end_with,
        lambda: router.may_read(session),
    )
    router.on_room = follower.pump
    cursor_file = CursorFile(config.cursors_dir, f"fix-{name}")

    def push() -> None:
        router.push(session)
        cursor_file.save(
            Cursor(cursor_of(session))
        )  # what the store has: it says how much of the log is kept

    pumping = _pump_when_there_is_room(follower, push)
    tasks = [asyncio.create_task(initiator.run()), asyncio.create_task(pumping)]
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

    What was sent from the lost part is at the venue: its reports are recorded as of unknown orders, and so is what it
    tells of all open ones. Beginning anew would send every order of the log again."""
    try:
        return LogReader(config.log_dir, config.run_dir, Reader.FIX, cursor, gate)
    except CursorInvalid as error:
        end = Tail.attach(config.run_dir).written
        _log.error("%s. Going on from position %d; open orders are asked about", error, end)
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


async def _pump_when_there_is_room(follower: LogFollower, push: Callable[[], None]) -> None:
    """The log's bell rings for new records only; for old ones that a slow venue or its throttle held up, this
    does."""
    while True:
        await asyncio.sleep(ROOM_S)
        push()
        follower.resume()
