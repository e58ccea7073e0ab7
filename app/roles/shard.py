"""The role `shard`: recovers the actors' state, defines what the first start needs, and runs the loop.

Always holds: it is ready only once it is recovered and its accounts and instruments stand. Postgres may be
away: then the local copy of the newest snapshot is used, or the log from its beginning. A log that can't be recovered
ends it with one line that names the place and the remedy.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Final

from actors.due import Lookout, Timers
from actors.idle_accounts import IdleAccounts
from actors.shard import Lane, Shard
from actors.tables import R_GROUPS
from actors.view import StateView
from app import ownership, poisoned, quarantine_files
from app.admin import alone
from app.config import Config
from app.stored_snapshots import offers
from core import commands, ids, units
from core.records import Level
from marketdata.instruments import InstrumentDefinition, definitions
from services import database
from services.snapshot_store import SnapshotStore
from shared_mem.idle import strategy
from shared_mem.log import LogError

_log = logging.getLogger("tradewind.shard")

DEMO_ACCOUNT: Final = "TW000001"
DEMO_CASH_E6: Final = units.cash_e6("1000000")
DEMO_MAX_ORDER_QTY_E8: Final = units.qty_e8("10000")
DEMO_MAX_ORDER_NOTIONAL_E6: Final = units.cash_e6("500000")
DEMO_MAX_POSITION_QTY_E8: Final = units.qty_e8("50000")

# The levels above it, from the top: to be seen and halted, without limits of their own.
DEMO_GROUPS: Final = (
    ("Tradewind", Level.FIRM),
    ("Private clients", Level.DESK),
    ("First advisor", Level.ADVISOR),
    ("First household", Level.HOUSEHOLD),
)

# How long the bootstrap may take until the loop has answered: it takes milliseconds.
BOOTSTRAP_TIMEOUT_S: Final = 10.0


class BootstrapFailed(RuntimeError):
    pass


def claim_epoch(config: Config) -> int:
    """This owner's epoch from Postgres; 0 when that is away, and the log alone counts the owners."""
    owner = f"{socket.gethostname()}:{os.getpid()}"
    try:
        return asyncio.run(SnapshotStore(config.postgres_url).claim_epoch(config.shard, owner))
    except database.POSTGRES_TROUBLE as error:
        _log.warning("Postgres is away (%s): no epoch was claimed there", error)
        return 0


def _differs(view: StateView, definition: InstrumentDefinition) -> bool:
    found = view.instrument_by_symbol(definition.symbol)
    if found is None:
        return True
    names = ("tick_e8", "lot_e8", "max_order_qty_e8", "collar_bps", "quote_age_ms_max")
    return any(getattr(found, name) != getattr(definition, name) for name in names)


def _bootstrap(config: Config, shard: Shard) -> None:
    """Define what is not there: instruments of the market data, and on the first start the demo account under its
    firm, desk, advisor and household."""
    view = StateView.attach(config.run_dir)
    admin = shard.lanes[Lane.ADMIN]
    request = time.time_ns()
    wanted: list[bytes] = []
    for d in definitions(config.replay):
        if _differs(view, d):
            wanted.append(
                commands.define_instrument(
                    request_id=request,
                    symbol=d.symbol,
                    tick_e8=d.tick_e8,
                    lot_e8=d.lot_e8,
                    max_order_qty_e8=d.max_order_qty_e8,
                    collar_bps=d.collar_bps,
                    quote_age_ms_max=d.quote_age_ms_max,
                )
            )
    if view.account_by_text(DEMO_ACCOUNT) is None:
        groups = int(view.state.registers[R_GROUPS])
        for above, (name, level) in enumerate(DEMO_GROUPS, groups):
            parent = above if level is not Level.FIRM else 0
            wanted.append(commands.define_group(request_id=request, name=name, level=level, parent=parent))
        wanted.append(
            commands.open_account(
                request_id=request,
                number=DEMO_ACCOUNT,
                max_order_qty_e8=DEMO_MAX_ORDER_QTY_E8,
                max_order_notional_e6=DEMO_MAX_ORDER_NOTIONAL_E6,
                max_position_qty_e8=DEMO_MAX_POSITION_QTY_E8,
                household=groups + len(DEMO_GROUPS),
            )
        )
        number = len(view.accounts()) + 1
        wanted.append(
            commands.deposit(
                request_id=request, account=number, amount_e6=DEMO_CASH_E6, reference="opening deposit"
            )
        )
    deadline = time.monotonic() + BOOTSTRAP_TIMEOUT_S
    target = shard.writer.next_seq + len(wanted)
    with alone(config):
        for command in wanted:
            while not admin.try_push(command):
                time.sleep(0.001)
    # With nothing to define there is nothing to wait for: after a lost tail the next number is far ahead of the last.
    while wanted and (len(admin) or view.seq < target - 1):
        if time.monotonic() > deadline:
            raise BootstrapFailed(f"the shard did not take {len(admin)} of {len(wanted)} opening commands")
        time.sleep(0.001)


def _push_alone(config: Config, shard: Shard, command: bytes) -> bool:
    """Into the admin lane, which a person's commands share; not one that is in quarantine, for it is still due."""
    asked = commands.decode(command)
    if quarantine_files.holds(config, asked["kind"], asked["account"], asked["order_id"]):
        return True
    with alone(config):
        return shard.lanes[Lane.ADMIN].try_push(command)


def _lookout(config: Config, shard: Shard) -> Lookout:
    """What time alone asks for."""

    def push(command: bytes) -> bool:
        return _push_alone(config, shard, command)

    timers = Timers(shard.state, push, day_end=config.day_end)
    idle = IdleAccounts(shard.state, push, idle_after_s=config.passive_after_hours * 3600)
    return Lookout((timers.turn, idle.turn))


def main(config: Config, ready: Callable[[], None]) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    watch = poisoned.watch_of(config)
    poisoned.hold_if_poisoned(config, watch)
    suspect = poisoned.examine(config)
    shard = Shard(config.log_dir, config.run_dir, config.shard, idle=strategy(config.idle))
    claimed = ownership.claim(config) if config.standby_key is not None else None
    kept = ownership.Lease(config, claimed) if claimed is not None else None
    taken = ownership.taken_over(config)
    try:
        found = shard.recover(
            offers(config),
            epoch=claimed.epoch if claimed else claim_epoch(config),
            first_seq=ids.first_number(time.time_ns()),
            taken_over=taken.epoch if taken else 0,
            watch=watch,
        )
    except LogError as error:
        # One line that says what a person can do: the supervisor shows a process's last one.
        look = "`tradewind recover --dry-run` looks without changing anything"
        raise SystemExit(f"no recovery: {error}. {look}") from None
    watch.done()
    _log.info(
        "recovered to seq %d: snapshot at %d and %d commands; state %s",
        found.seq, found.snapshot_seq, found.commands_replayed, found.state_hash,
    )  # fmt: skip
    ownership.say_whether_orders_wait(config, shard.writer.tail)
    if kept is not None:
        kept.write_to(shard.writer.tail)
    poisoned.put_suspect_aside(config, shard, suspect)
    shard.start()
    _bootstrap(config, shard)
    poisoned.journal_skips(config, lambda command: _push_alone(config, shard, command))
    lookout = _lookout(config, shard)
    lookout.start()
    ready()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    lookout.stop()
    shard.stop()
    _log.info("stopped at seq %d", shard.writer.next_seq - 1)
