"""Stories of this room: a desk is a shard's state with the pen on a real log, and commands go to it one by one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actors.apply import journal_and_apply
from actors.emit import P_EPOCH, P_POSITION, P_SEQ, P_TIME, command_slot, make_pen
from actors.recovery import Offer
from actors.replay import Replica
from actors.shard import Lane, Shard, serve_lanes, take_ticks
from actors.snapshot import state_hash
from actors.tables import Capacity, State, private_state
from core import commands
from core.events import Event, decode
from core.records import (
    TICK,
    TICK_BYTES,
    BreakKind,
    CommandKind,
    EventKind,
    ExecType,
    Fate,
    OrdStatus,
    OrdType,
    Side,
    Source,
    TickKind,
    TimeInForce,
)
from core.rejects import Reject
from core.units import cash_e6, price_e8, qty_e8
from shared_mem import log
from shared_mem.flusher import Flusher
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader
from shared_mem.log_writer import LogWriter

SEGMENT_BYTES = log.SEGMENT_BYTES_MIN
CAPACITY = Capacity(accounts=8, instruments=8, positions=16, orders=64, groups=8, cash=8)

TICK_E8 = price_e8("0.01")
LOT_E8 = qty_e8("0.0001")
BID_E8, ASK_E8 = price_e8("99.99"), price_e8("100")
COLLAR_BPS = 500
START_NS = 1_700_000_000_000_000_000
STEP_NS = 1_000_000  # between two commands

# So that a test that waits for a process that hangs ends; nothing is measured by it.
PATIENCE_S = 60


def instrument(symbol: str = "ACME", **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "request_id": 1, "tick_e8": TICK_E8, "lot_e8": LOT_E8, "max_order_qty_e8": qty_e8(5000),
        "collar_bps": COLLAR_BPS, "quote_age_ms_max": 2000,
    }  # fmt: skip
    return commands.define_instrument(symbol=symbol, **{**values, **changes})


def account(number: str = "TW000001", **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "request_id": 2, "max_order_qty_e8": qty_e8(10_000), "max_order_notional_e6": cash_e6(500_000),
        "max_position_qty_e8": qty_e8(50_000),
    }  # fmt: skip
    return commands.open_account(number=number, **{**values, **changes})


def order(client_order_id: str, **changes: Any) -> bytes:
    """A purchase of 10 at 100.00 by account 1, unless `changes` say otherwise."""
    values: dict[str, Any] = {
        "source": Source.GATEWAY, "request_id": 3, "account": 1, "instrument": 1, "side": Side.BUY,
        "ord_type": OrdType.LIMIT, "tif": TimeInForce.DAY, "qty_e8": qty_e8(10), "price_e8": ASK_E8,
    }  # fmt: skip
    return commands.new_order(client_order_id=client_order_id, **{**values, **changes})


def replace(order_id: int, client_order_id: str, **changes: Any) -> bytes:
    """Of account 1's order in instrument 1; without `changes` it changes nothing but the name."""
    values: dict[str, Any] = {"source": Source.GATEWAY, "request_id": 6, "account": 1, "instrument": 1}
    return commands.replace(order_id=order_id, client_order_id=client_order_id, **{**values, **changes})


def deposit(amount_e6: int, **changes: Any) -> bytes:
    return commands.deposit(**{"request_id": 4, "account": 1, "amount_e6": amount_e6, **changes})


class Desk:
    """State, log and pen in this process. `do` applies one command and gives back its event."""

    def __init__(self, log_dir: Path, run_dir: Path, capacity: Capacity = CAPACITY) -> None:
        self.log_dir, self.run_dir, self.capacity = log_dir, run_dir, capacity
        self.writer = LogWriter.open(log_dir, run_dir, 0, segment_bytes=SEGMENT_BYTES)
        self.flusher = Flusher(self.writer)
        tail = self.writer.tail
        self.state: State = private_state(capacity)
        self.command = command_slot()
        self.out = make_pen(tail.address, SEGMENT_BYTES, SEGMENT_BYTES, self.command)
        pen = self.out.pen
        pen[P_POSITION], pen[P_SEQ], pen[P_EPOCH] = self.writer.position, self.writer.next_seq, tail.epoch
        pen[P_TIME] = START_NS
        self.reader = LogReader(log_dir, run_dir, Reader.AUDIT, self.writer.position)
        self.bid_e8, self.ask_e8, self.quote_age_ms = BID_E8, ASK_E8, 0
        self._names = (f"client-{n}" for n in itertools.count(1))
        self._venue_seq = itertools.count(1)

    @property
    def next_ns(self) -> int:
        """The time of the next command."""
        return int(self.out.pen[P_TIME]) + STEP_NS

    def apply(self, raw: bytes, flags: int = 0) -> None:
        """One command, as a shard that took it would: stamped, journaled, applied, published."""
        pen, command = self.out.pen, self.command
        pen[P_TIME] += STEP_NS
        command.raw[:] = np.frombuffer(raw, np.uint8)
        command.head[0]["flags"] = flags
        if command.head[0]["kind"] in (CommandKind.NEW_ORDER, CommandKind.REPLACE):
            row = command.order[0]
            row["bid_e8"], row["ask_e8"] = self.bid_e8, self.ask_e8
            row["quote_time_ns"] = pen[P_TIME] - self.quote_age_ms * 1_000_000
        journal_and_apply(self.state, self.out, command)
        tail = self.writer.tail
        log.publish(tail.address, int(pen[P_POSITION]), int(pen[P_SEQ]) - 1)
        if tail.written - tail.synced > SEGMENT_BYTES // 4:
            self.flusher.flush()

    def do(self, raw: bytes, flags: int = 0) -> Event:
        """As `apply`; the one event that came of it."""
        events = self.do_all(raw, flags)
        assert len(events) == 1, "one event for one command"
        return events[0]

    def do_all(self, raw: bytes, flags: int = 0) -> list[Event]:
        """As `apply`; every event that came of it."""
        self.reader.position = self.writer.tail.written
        self.apply(raw, flags)
        records = [*self.reader.read(), *self.reader.read()]  # a segment may end between the two
        assert [r.kind < log.KIND_CLOSING for r in records] == [True, *[False] * (len(records) - 1)]
        events = [decode(r.seq, r.time_ns, r.payload) for r in records[1:]]
        assert {event.cause_seq for event in events} == {records[0].seq}
        return events

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def open_market(self) -> None:
        assert self.do(instrument()).kind == EventKind.INSTRUMENT
        assert self.do(account()).kind == EventKind.ACCOUNT
        assert self.do(deposit(cash_e6(1_000_000))).cash_e6 == cash_e6(1_000_000)

    def buy(self, qty: int = 10, **changes: Any) -> Event:
        return self.do(order(next(self._names), qty_e8=qty_e8(qty), **changes))

    def sell(self, qty: int = 10, **changes: Any) -> Event:
        return self.buy(qty, **{"side": Side.SELL, "price_e8": BID_E8, **changes})

    def cancel(self, order_id: int, account: int = 1) -> Event:
        return self.do(
            commands.cancel(source=Source.GATEWAY, request_id=5, account=account, order_id=order_id)
        )

    def report(self, order_id: int, exec_type: int, qty_e8: int = 0, px_e8: int = 0, **more: Any) -> Event:
        """Under a MsgSeqNum and, unless `more` says otherwise, an ExecID of its own."""
        venue_seq = next(self._venue_seq)
        values: dict[str, Any] = {"ord_status": OrdStatus.NEW, "exec_id": f"X{venue_seq}", **more}
        return self.do(
            commands.venue_report(
                venue_seq=venue_seq, order_id=order_id, exec_type=exec_type, last_qty_e8=qty_e8,
                last_px_e8=px_e8, **values,
            )
        )  # fmt: skip

    def break_found(self, kind: BreakKind, **changes: Any) -> Event:
        """Execution X1 of 10 at 100.00, of an order and an account that nobody knows unless `changes` say so."""
        values: dict[str, Any] = {
            "account": 0, "instrument": 0, "order_id": 0, "exec_id": "X1", "side": Side.BUY,
            "last_qty_e8": qty_e8(10), "last_px_e8": ASK_E8, "ours": 0, "venues": qty_e8(10),
            "transact_time_ns": START_NS,
        }  # fmt: skip
        return self.do(commands.break_found(break_kind=kind, **{**values, **changes}))

    def fill(self, order_id: int, qty: int, px_e8: int = ASK_E8, **more: Any) -> Event:
        return self.report(order_id, ExecType.TRADE, qty_e8(qty), px_e8, **more)

    def replace(self, order_id: int, **changes: Any) -> Event:
        return self.do(replace(order_id, next(self._names), **changes))

    def accept_replace(self, order_id: int, number: int = 1) -> Event:
        return self.report(order_id, ExecType.REPLACED, replacement=number)

    def bust(self, order_id: int, ref: str, told: int = OrdStatus.NEW) -> Event:
        return self.report(order_id, ExecType.TRADE_CANCEL, exec_ref_id=ref, ord_status=told)

    def correct(self, order_id: int, ref: str, qty: int, px_e8: int, **more: Any) -> Event:
        return self.report(order_id, ExecType.TRADE_CORRECT, qty_e8(qty), px_e8, exec_ref_id=ref, **more)

    def timer(self, kind: CommandKind, order_id: int, due_ns: int, account: int = 1) -> Event:
        return self.do(commands.timer(kind, account=account, order_id=order_id, due_ns=due_ns))

    def ask_venue(self, order_id: int) -> Event:
        return self.do(commands.ask_venue(account=1, order_id=order_id))

    def standing(
        self, order_id: int, told: OrdStatus, cum: int = 0, avg_px_e8: int = 0, **more: Any
    ) -> list[Event]:
        """The venue's answer: the order's OrdStatus, how much of it is filled, at what average."""
        values: dict[str, Any] = {"exec_type": ExecType.ORDER_STATUS, "cum_qty_e8": qty_e8(cum), **more}
        return self.do_all(
            commands.venue_status(
                venue_seq=next(self._venue_seq),
                order_id=order_id,
                ord_status=told,
                avg_px_e8=avg_px_e8,
                **values,
            )
        )

    def fate_unknown(self, order_id: int, code: Reject = Reject.VENUE_KNOWS_NOT) -> Event:
        return self.do(commands.fate_unknown(order_id=order_id, code=code))

    def resolve(self, order_id: int, exec_type: int, qty: int = 0, px_e8: int = 0, account: int = 1) -> Event:
        return self.do(
            commands.resolve(
                request_id=9, account=account, order_id=order_id, exec_type=exec_type, last_qty_e8=qty_e8(qty),
                last_px_e8=px_e8, text="the broker's mail",
            )
        )  # fmt: skip

    def fate(self, order: int = 0) -> Fate:
        """Of the order in this row."""
        return Fate(int(self.state.orders[order]["fate"]))

    def reserved(self) -> int:
        return int(self.state.accounts[0]["reserved_e6"])

    def replica(self) -> Replica:
        """Of this desk's log, from its beginning."""
        replica = Replica(self.capacity, SEGMENT_BYTES)
        replica.follow(LogReader(self.log_dir, self.run_dir, Reader.SNAPSHOTS))
        return replica

    def hash(self) -> str:
        return state_hash(self.state)


class ShardDesk:
    """A shard with its real rings, turned by hand (`turn`) or running (`shard.start()`)."""

    def __init__(
        self,
        log_dir: Path,
        run_dir: Path,
        capacity: Capacity = CAPACITY,
        offers: Sequence[Offer] = (),
        first_seq: int = 1,
    ) -> None:
        self.log_dir, self.run_dir = log_dir, run_dir
        self.shard = Shard(log_dir, run_dir, capacity=capacity, segment_bytes=SEGMENT_BYTES)
        self.recovered = self.shard.recover(offers, first_seq=first_seq)
        self.flusher = Flusher(self.shard.writer)
        self.reader = LogReader(log_dir, run_dir, Reader.GATEWAY)
        self.running = False

    def push(self, lane: Lane, raw: bytes) -> bool:
        return self.shard.lanes[lane].try_push(raw)

    def turn(self) -> int:
        """One round of the loop: how many commands it took."""
        shard = self.shard
        take_ticks(shard.state, shard.wiring)
        return int(serve_lanes(shard.state, shard.out, shard.command, shard.wiring, 0))

    def turn_until_quiet(self) -> None:
        self.flusher.flush()  # a predecessor may have died with a tail so full that nothing more is taken
        while self.turn():
            self.flusher.flush()

    def events(self) -> list[Event]:
        found: list[Event] = []
        while records := self.reader.read():
            found += [decode(r.seq, r.time_ns, r.payload) for r in records if r.kind >= log.KIND_CLOSING]
        return found

    def quote(self, bid_e8: int = BID_E8, ask_e8: int = ASK_E8, age_ns: int = 0) -> None:
        tick = np.zeros(1, TICK)
        tick["instrument"], tick["kind"] = 1, TickKind.QUOTE
        tick["bid_e8"], tick["ask_e8"] = bid_e8, ask_e8
        tick["published_ns"] = time.time_ns() - age_ns
        self.shard._ticks.publish(tick.tobytes().ljust(TICK_BYTES, b"\0"))

    def open_market(self) -> None:
        for raw in (instrument(quote_age_ms_max=10**9), account(), deposit(cash_e6(1_000_000))):
            assert self.push(Lane.ADMIN, raw)
        self.turn_until_quiet()
        self.quote()
        self.events()

    def close(self) -> None:
        self.reader.close()
        if self.running:
            self.shard.stop()
