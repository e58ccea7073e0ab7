"""Messages that wait for room in a venue's throttle: counted where they are written, orders behind cancels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.event_layouts import EVENT
from core.records import EventKind, ExecType, OrdStatus, OrdType, Side, TimeInForce
from fix import store as stores
from fix.codec import Framer, parse
from fix.dictionary import load
from fix.durable import DurableSession
from fix.order_bodies import OrderBodies
from fix.order_router import OrderRouter, cursor_of
from fix.session import Role, SessionConfig
from fix.store import Store
from fix.tags import MsgType, Tag
from fix.throttle import Throttle
from shared_mem.log_reader import Record
from shared_mem.ring import Ring
from tests.fix.peers import Desk, no_questions, order
from tests.fix.wire import NOON_NS, from_peer

SECOND = 1_000_000_000


class ListWire:
    """A wire whose other end is a list."""

    def __init__(self) -> None:
        self.framer = Framer()
        self.written: list[str] = []

    def write(self, data: bytes) -> None:
        self.framer.feed(data)
        for frame in self.framer:
            message = parse(frame)
            name = message.get(Tag.ClOrdID)
            self.written.append(name or message.type)

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def buffered(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Line:
    """A session with a venue that lets through ten messages a second, by a clock of its own."""

    def __init__(self, folder: Path, application: Desk | OrderRouter, seq: int = 0) -> None:
        self.now = NOON_NS
        self.seq = seq  # of the venue's last message
        config = SessionConfig("DESK", "VENUE", Role.INITIATOR, sending_time_skew_ns_max=0)
        self.session = DurableSession(
            config, Store(folder / "store"), application, lambda: self.now, Throttle(10, SECOND)
        )
        self.connect()

    def connect(self) -> None:
        self.wire = ListWire()
        self.session.connected(self.wire)
        self.venue_says("A", "98=0|108=30")

    def venue_says(self, msg_type: str, body: str) -> None:
        self.seq += 1
        self.session.received(from_peer(msg_type, self.seq, body, self.now, "VENUE", "DESK"))

    def later(self, seconds: float, push: Callable[[], None]) -> list[str]:
        """What is written then."""
        self.now += int(seconds * SECOND)
        before = len(self.wire.written)
        push()
        return self.wire.written[before:]


def test_a_resend_counts_message_by_message(tmp_path: Path) -> None:
    line = Line(tmp_path, Desk())
    line.session.send(
        [order(str(i)) for i in range(25)]
    )  # all at once: an application that does not ask for room
    assert len(line.wire.written) == 1 + 25
    line.venue_says("2", "7=2|16=0")
    assert len(line.wire.written) == 26, "no room: nothing is resent yet"
    push = line.session.push
    assert line.later(0.999, push) == []
    assert line.later(0.001, push) == [str(i) for i in range(10)]
    assert line.later(1, push) == [str(i) for i in range(10, 20)]
    assert line.later(1, push) == [str(i) for i in range(20, 25)]
    assert not line.session.waits


class Street:
    """A router on such a line, and a log to write into. `seq`: of the last message before a restart."""

    def __init__(self, folder: Path, logs_out: bool = False, seq: int = 0) -> None:
        folder.mkdir(exist_ok=True)
        self.position = 0
        self.router = OrderRouter(
            0,
            Ring.create(folder / "reports", 256, 2),
            lambda _: "AAPL",
            lambda _: "TW000001",
            OrderBodies(load("FIX.4.4"), order_fields=((47, "A"),)),
            no_questions(),
            logs_out=logs_out,
        )
        self.line = Line(folder, self.router, seq)

    def log(self, *what: str) -> list[Record]:
        """Records of "D7" (order 7 is to be routed) and "F7" (its cancel)."""
        records = []
        for name in what:
            row = np.zeros(1, EVENT)
            event = row[0]
            event["order_id"] = int(name[1:])
            event["account"], event["instrument"] = 1, 1
            event["side"], event["ord_type"], event["tif"] = Side.BUY, OrdType.LIMIT, TimeInForce.DAY
            event["qty_e8"], event["price_e8"], event["route_price_e8"] = 10**9, 10**10, 10**10
            event["exec_type"] = ExecType.PENDING_NEW if name[0] == "D" else ExecType.PENDING_CANCEL
            event["ord_status"] = OrdStatus.PENDING_NEW
            begin, self.position = self.position, self.position + 100
            records.append(
                Record(begin, self.position, begin // 100 + 1, NOON_NS, 1, EventKind.ORDER, row.tobytes())
            )
        return records

    def route(self, *what: str) -> list[str]:
        return self.line.later(0, lambda: self.router.route(self.line.session, self.log(*what)))

    def later(self, seconds: float) -> list[str]:
        return self.line.later(seconds, lambda: self.router.push(self.line.session))


def orders(begin: int, end: int) -> list[str]:
    return [f"D{i}" for i in range(begin, end)]


def names(begin: int, end: int) -> list[str]:
    return [f"TW000-{i}" for i in range(begin, end)]


def test_orders_wait_their_turn_and_leave_room_for_cancels(tmp_path: Path) -> None:
    street = Street(tmp_path)
    assert street.route(*orders(1, 31)) == names(1, 9), "ten, less the Logon, less one for cancels"
    assert street.later(0.5) == []
    assert street.later(0.5) == names(9, 18)
    assert street.later(1) == names(18, 27)
    assert street.later(1) == names(27, 31)


def test_a_cancel_passes_the_orders_that_wait(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.route(*orders(1, 21))
    assert street.route("F3") == ["TW000-C21"], "its order has gone"
    assert street.later(1) == names(9, 18)


def test_a_cancel_of_an_order_that_waits_stays_behind_it(tmp_path: Path) -> None:
    street = Street(tmp_path)
    assert street.route(*orders(1, 13), "F12") == names(1, 9)
    assert street.later(1) == [*names(9, 13), "TW000-C13"]


def test_the_venue_gets_its_own_field_in_each_order(tmp_path: Path) -> None:
    street = Street(tmp_path)
    street.route("D1")
    sent = street.line.session.sent(2)
    assert sent is not None
    assert sent.type == MsgType.NewOrderSingle
    assert sent.get(47) == "A"


def test_a_restart_sends_what_waited_and_no_cancel_twice(tmp_path: Path) -> None:
    street = Street(tmp_path / "1")
    street.route(*orders(1, 13))
    street.route("F3")
    street.line.session.close()  # what was held is gone with the process; the store is not
    assert cursor_of(street.line.session) == 800, "the first order that waits"

    second = Street(tmp_path / "1", seq=1)
    again = [record for record in second.log(*orders(1, 13), "F3", "F5") if record.position >= 800]
    written = second.line.later(0, lambda: second.router.route(second.line.session, again))
    assert written == [*names(9, 13), "TW000-C14"], "the cancel of 3 went before, that of 5 did not"
    assert cursor_of(second.line.session) == 1400


def test_at_the_limit_a_line_that_has_to_logs_out_and_goes_on_after_its_next_logon(tmp_path: Path) -> None:
    street = Street(tmp_path, logs_out=True)
    assert street.route(*orders(1, 13)) == [*names(1, 9), "5"]
    street.line.venue_says("5", "")
    street.line.session.disconnected()
    assert street.later(1) == [], "nobody is logged on"
    street.line.connect()
    assert street.later(0) == names(9, 13)


def test_on_a_full_disk_orders_wait_and_cancels_of_other_orders_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = Street(tmp_path)
    assert street.route("D1", "D2") == names(1, 3)
    monkeypatch.setattr(stores, "reserve", lambda *_: False)
    monkeypatch.setattr(street.line.session._store, "_reserved_to", 0)
    assert street.route("D3", "F1", "F3") == ["TW000-C4"], "the cancel of 3 stays behind its order"
    assert street.later(1) == []
    monkeypatch.setattr(stores, "reserve", lambda *_: True)
    assert street.later(0) == ["TW000-3", "TW000-C5"]


def test_a_full_disk_is_no_reason_to_log_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    street = Street(tmp_path, logs_out=True)
    monkeypatch.setattr(stores, "reserve", lambda *_: False)
    monkeypatch.setattr(street.line.session._store, "_reserved_to", 0)
    assert street.route("D1") == []
