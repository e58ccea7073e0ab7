"""A desk that trades: writes into a real log the events that a shard would, from a few verbs.

It keeps its own books in Python's integers, one fill at a time, so that a test can ask what the followers
ought to have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core import units
from core.currencies import USD
from core.event_layouts import EVENT, EVENT_LAYOUTS
from core.records import (
    AccountState,
    BreakKind,
    CommandKind,
    EventKind,
    ExecType,
    InstrumentState,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from core.rejects import Reject
from services.names import Names
from services.publisher import Publisher
from shared_mem import log
from shared_mem.cursors import BEGINNING, Cursor, CursorFile
from shared_mem.flusher import Flusher
from shared_mem.log import Gate, Reader
from shared_mem.log_reader import LogReader
from shared_mem.log_writer import LogWriter

START_NS = 1_700_000_000_123_456_789


@dataclass
class Book:
    """One account's cash and one position's books."""

    cash_e6: int = 0
    reserved_e6: int = 0
    qty_e8: dict[int, int] = field(default_factory=dict)
    cost_e6: dict[int, int] = field(default_factory=dict)


@dataclass
class Order:
    order_id: int
    account: int
    instrument: int
    side: Side
    qty_e8: int
    price_e8: int
    client_order_id: str
    status: OrdStatus = OrdStatus.PENDING_NEW
    cum_qty_e8: int = 0
    cum_notional_e6: int = 0

    @property
    def reserved_e6(self) -> int:
        if self.side is Side.SELL or self.status in (OrdStatus.CANCELED, OrdStatus.REJECTED):
            return 0
        return units.notional_up_e6(self.qty_e8 - self.cum_qty_e8, self.price_e8)


class Desk:
    def __init__(self, log_dir: Path, run_dir: Path) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        self.log_dir, self.run_dir = log_dir, run_dir
        self._writer = LogWriter.open(log_dir, run_dir, shard=0, segment_bytes=1 << 20)
        self._flusher = Flusher(self._writer)
        self._flusher.start()
        self.accounts: dict[int, str] = {}
        self.symbols: dict[int, str] = {}
        self.books: dict[int, Book] = {}
        self.orders: dict[int, Order] = {}
        self.fills: list[int] = []  # seq of each
        self.event_seqs: list[int] = []

    def close(self) -> None:
        self._flusher.stop()

    # What followers are built with.

    def open_log(self, position: int) -> LogReader:
        return LogReader(self.log_dir, self.run_dir, Reader.PUBLISHER, position, Gate.SYNCED)

    def open_whole_log(self) -> LogReader:
        """Also what the flusher has not come to yet: all that the desk did so far."""
        return LogReader(self.log_dir, self.run_dir, Reader.AUDIT, gate=Gate.WRITTEN)

    def account_text(self, account: int) -> str | None:
        return self.accounts.get(account)

    def symbol(self, instrument: int) -> str | None:
        return self.symbols.get(instrument)

    def publisher(
        self,
        nats_url: str,
        on_serving: Callable[[], None] = lambda: None,
        beginning: Callable[[], Cursor] = lambda: BEGINNING,
    ) -> Publisher:
        """A publisher as after a start: with no memory but its cursor file."""
        return Publisher(
            nats_url=nats_url,
            shard=0,
            open_log=self.open_log,
            names=Names(self),
            cursor_file=CursorFile(self.log_dir.parent / "cursors", "publisher"),
            on_serving=on_serving,
            beginning=beginning,
        )

    # What happens at a desk.

    def open_account(self, text: str = "TW000001", cash: str = "1000000") -> int:
        account = len(self.accounts) + 1
        self.accounts[account] = text
        self.books[account] = Book()
        self._event(EventKind.ACCOUNT, text, account=account, state=AccountState.ACTIVE)
        self.pay_in(account, units.cash_e6(cash))
        return account

    def pay_in(self, account: int, amount_e6: int) -> None:
        self.books[account].cash_e6 += amount_e6
        self._event(EventKind.CASH, "", account=account, **self._money(account))

    def define_instrument(self, symbol: str = "AAPL") -> int:
        instrument = len(self.symbols) + 1
        self.symbols[instrument] = symbol
        self._event(
            EventKind.INSTRUMENT,
            symbol,
            instrument=instrument,
            state=InstrumentState.OPEN,
            price_e8=units.price_e8("0.01"),
            qty_e8=units.qty_e8("1"),
        )
        return instrument

    def accept(
        self, account: int, instrument: int, side: Side, qty: str, price: str, client_order_id: str = ""
    ) -> Order:
        """An order that passed its checks."""
        command_seq = self._command()
        order = Order(
            command_seq,
            account,
            instrument,
            side,
            units.qty_e8(qty),
            units.price_e8(price),
            client_order_id or f"order-{command_seq}",
        )
        self.orders[order.order_id] = order
        self.books[account].reserved_e6 += order.reserved_e6
        self._order(order, ExecType.PENDING_NEW)
        return order

    def acknowledge(self, order: Order) -> None:
        order.status = OrdStatus.NEW
        self._command(CommandKind.VENUE_REPORT)
        self._order(order, ExecType.NEW)

    def fill(self, order: Order, qty: str, price: str) -> int:
        """A trade; returns its seq."""
        qty_e8, price_e8 = units.qty_e8(qty), units.price_e8(price)
        notional_e6 = units.notional_e6(qty_e8, price_e8)
        book = self.books[order.account]
        sign = 1 if order.side is Side.BUY else -1
        book.reserved_e6 -= order.reserved_e6
        order.cum_qty_e8 += qty_e8
        order.cum_notional_e6 += notional_e6
        order.status = OrdStatus.FILLED if order.cum_qty_e8 == order.qty_e8 else OrdStatus.PARTIALLY_FILLED
        book.reserved_e6 += order.reserved_e6
        book.cash_e6 -= sign * notional_e6
        book.qty_e8[order.instrument] = book.qty_e8.get(order.instrument, 0) + sign * qty_e8
        book.cost_e6[order.instrument] = book.cost_e6.get(order.instrument, 0) + sign * notional_e6
        self._command(CommandKind.VENUE_REPORT)
        seq = self._order(order, ExecType.TRADE, last_qty_e8=qty_e8, last_px_e8=price_e8)
        self.fills.append(seq)
        return seq

    def cancel(self, order: Order) -> None:
        book = self.books[order.account]
        book.reserved_e6 -= order.reserved_e6
        order.status = OrdStatus.CANCELED
        self._command(CommandKind.VENUE_REPORT)
        self._order(order, ExecType.CANCELED)

    def refuse_cancel(self, order: Order) -> None:
        self._command(CommandKind.CANCEL)
        self._order(
            order, ExecType.CANCEL_REJECT, reject_code=Reject.ORDER_NOT_OPEN, observed_value=order.status
        )

    def refuse_report(self, order: Order) -> None:
        """A trade that the order's state does not allow."""
        self._command(CommandKind.VENUE_REPORT)
        self._order(order, ExecType.TRADE, reject_code=Reject.REPORT_UNEXPECTED)

    def cancel_unknown(self, account: int) -> None:
        """A cancel of an order that never was."""
        self._command(CommandKind.CANCEL)
        self._event(
            EventKind.ORDER,
            "",
            account=account,
            order_id=2**64 - 1,
            exec_type=ExecType.CANCEL_REJECT,
            reject_code=Reject.ORDER_UNKNOWN,
        )

    def reject(self, account: int, instrument: int, code: Reject, original: Order | None = None) -> int:
        """A new order that failed a check; returns its number."""
        command_seq = self._command()
        money = self._money(account) if account in self.books else {}
        self._event(
            EventKind.ORDER,
            original.client_order_id if original else f"order-{command_seq}",
            account=account,
            instrument=instrument,
            order_id=original.order_id if original else command_seq,
            side=Side.BUY,
            ord_type=OrdType.LIMIT,
            tif=TimeInForce.DAY,
            ord_status=OrdStatus.REJECTED,
            exec_type=ExecType.REJECTED,
            reject_code=code,
            qty_e8=units.qty_e8("10"),
            price_e8=units.price_e8("100"),
            **money,
        )
        return command_seq

    def break_found(self, order: Order) -> int:
        """The venue's copy of the order's last execution says 7; returns the event's seq."""
        self._command(CommandKind.BREAK)
        return self._event(
            EventKind.BREAK,
            "X1",
            account=order.account,
            instrument=order.instrument,
            order_id=order.order_id,
            state=AccountState.REDUCING,
            break_kind=BreakKind.QUANTITY,
            side=order.side,
            last_qty_e8=units.qty_e8("7"),
            last_px_e8=order.price_e8,
            limit_value=units.qty_e8("10"),
            observed_value=units.qty_e8("7"),
        )

    # Into the log.

    def _money(self, account: int) -> dict[str, int]:
        book = self.books[account]
        return {"cash_e6": book.cash_e6, "reserved_e6": book.reserved_e6}

    def _order(self, order: Order, exec_type: ExecType, **more: int) -> int:
        book = self.books[order.account]
        return self._event(
            EventKind.ORDER,
            order.client_order_id,
            account=order.account,
            instrument=order.instrument,
            order_id=order.order_id,
            side=order.side,
            ord_type=OrdType.LIMIT,
            tif=TimeInForce.DAY,
            ord_status=order.status,
            exec_type=exec_type,
            qty_e8=order.qty_e8,
            price_e8=order.price_e8,
            route_price_e8=order.price_e8,
            cum_qty_e8=order.cum_qty_e8,
            cum_notional_e6=order.cum_notional_e6,
            position_qty_e8=book.qty_e8.get(order.instrument, 0),
            position_cost_e6=book.cost_e6.get(order.instrument, 0),
            **self._money(order.account),
            **more,
        )

    def _event(self, kind: EventKind, text: str, **fields: Any) -> int:
        layout = EVENT_LAYOUTS.get(kind, EVENT)
        row = np.zeros(1, layout)
        if "currency" in (layout.names or ()):
            row["currency"] = USD
        row["kind"] = kind
        row["text_length"] = len(text)
        row["cause_seq"] = self._writer.next_seq - 1
        for name, value in fields.items():
            row[name] = value
        seq = self._append(int(kind), row.tobytes() + text.encode("ascii"))
        self.event_seqs.append(seq)
        return seq

    def _command(self, kind: CommandKind = CommandKind.NEW_ORDER) -> int:
        """A command's record: followers must pass over it. Returns its seq."""
        return self._append(int(kind), bytes(128))

    def _append(self, kind: int, payload: bytes) -> int:
        tail, seq = self._writer.tail, self._writer.next_seq
        buffer = np.frombuffer(payload, np.uint8)
        position = tail.written
        left = tail.segment_bytes - position % tail.segment_bytes
        while int(log.room(tail.address, position)) < 2 * log.RECORD_BYTES_MAX + left * (left < 1024):
            pass  # the flusher is at it
        if log.RECORD_HEADER_BYTES + len(buffer) > left:
            log.put_padding(tail.address + log.DATA + position % tail.segment_bytes, left)
            position += left
        at = tail.address + log.DATA + position % tail.segment_bytes
        taken = log.put_record(at, kind, seq, START_NS + 1_000 * seq, 1, 0, buffer.ctypes.data, len(buffer))
        log.publish(tail.address, position + int(taken), seq)
        log.ring_bells(tail.address, self._writer.bell_fds.ctypes.data, int(Gate.WRITTEN))
        return seq
