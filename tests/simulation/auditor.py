"""The auditor: what was promised, held against what is there, by somebody who knows none of the code that made it.

It is told what clients sent and what they were told, and reads three things for itself, in plain Python: the log's
segment files, the bytes that left the desk and the venue, and the tables that it is shown. Money is Decimal.

Always holds: it lives outside every process and machine, so nothing that dies takes its memory along. It imports no
code of the log, of FIX or of the actors; only the record layouts of `core` name what a payload means.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from core import commands, events
from core.events import Event
from core.records import CommandKind, EventKind, ExecType, Side
from tests.simulation.world import Broken

_HEADER: Final = struct.Struct("<HHIQqII")  # length, kind, crc, seq, time, epoch, lag
_PADDING: Final = 0xFFFF
_EVENTS_FROM: Final = 100
_CENT: Final = Decimal("0.000001")

_ADMIN: Final = frozenset("012345A")
_STATUS: Final = "I"  # ExecType of an answer to a question, which tells nothing new

_Fix = dict[str, str]
# Header fields that a message sent again may have otherwise, and the trailer.
_ENVELOPE: Final = frozenset(("8", "9", "34", "43", "52", "97", "122", "369", "10"))


class LogRecord(NamedTuple):
    seq: int
    time_ns: int
    epoch: int
    kind: int
    payload: bytes


class AccountRow(NamedTuple):
    cash_e6: int
    reserved_e6: int
    open_orders: int


class OrderRow(NamedTuple):
    status: int
    cum_qty_e8: int


@dataclass
class Evidence:
    """What stands there once everything has come to rest."""

    log_dir: Path
    segment_bytes: int
    hashes: dict[str, str]  # of the state, by where it was taken
    accounts: dict[int, AccountRow]
    positions: dict[tuple[int, int], int]
    exposed: dict[tuple[int, int], int]  # held and still to be bought
    orders: dict[int, OrderRow]
    venue_sent: list[bytes]  # every message of the venue's store, as it was sent first
    projected: list[int]
    projected_orders: dict[int, Event]
    consumed: list[int]


@dataclass
class Booked:
    """One fill of the venue's book."""

    account: int
    instrument: int
    side: int
    qty: Decimal
    px: Decimal


def read_log(log_dir: Path, segment_bytes: int) -> list[LogRecord]:
    """Every record of the segment files, up to the first place where none begins."""
    found: list[LogRecord] = []
    for path in sorted(log_dir.glob("*.log")):
        data, at = path.read_bytes(), 0
        while at + _HEADER.size <= len(data):
            length, kind, _, seq, time_ns, epoch, _ = _HEADER.unpack_from(data, at)
            if length < _HEADER.size:
                break
            if kind != _PADDING:
                found.append(LogRecord(seq, time_ns, epoch, kind, data[at + _HEADER.size : at + length]))
            at += -(-length // 8) * 8
        if segment_bytes - at >= _HEADER.size:
            break
    return found


def proven(content: bytes, damaged: int) -> bool:
    """Whether a later record of the segment says that the disk had the record of byte `damaged` when it was written."""
    begins, at, found = 0, 0, False
    while at + _HEADER.size <= len(content):
        length, kind, _, _, _, _, lag = _HEADER.unpack_from(content, at)
        if length < _HEADER.size:
            break
        if at <= damaged:
            begins = at
        elif kind != _PADDING:
            found = found or at - lag > begins
        at += -(-length // 8) * 8
    return found


class Auditor:
    def __init__(self, *, synced: bool, is_well_behaved: bool, position_max_e8: int) -> None:
        """`is_well_behaved`: the venue tells everything once and in order, and undoes no trade."""
        self._position_max_e8 = position_max_e8
        self._synced = synced
        self._is_well_behaved = is_well_behaved
        self._orders: dict[str, dict[str, int]] = {}
        self._times_sent: Counter[str] = Counter()
        self._accepted: dict[str, int] = {}
        self._deposits: dict[str, tuple[int, int]] = {}
        self._told_deposits: set[int] = set()
        self._generation: Counter[str] = Counter()
        self._numbers: dict[tuple[str, int, int], _Fix] = {}
        self._exec_ids: dict[str, _Fix] = {}
        self._cl_ord_ids: dict[str, _Fix] = {}
        self.venue_is_lost = False
        self._lost_epochs: set[int] = set()

    # --- what it is told --------------------------------------------------------------------------------

    def sent_order(self, name: str, terms: dict[str, int]) -> None:
        self._orders[name] = terms
        self._times_sent[name] += 1

    def told_accepted(self, name: str, order_id: int) -> None:
        before = self._accepted.setdefault(name, order_id)
        if before != order_id:
            raise Broken(f"order {name} was acknowledged as {before}, and then as {order_id}")

    def sent_deposit(self, reference: str, account: int, amount: int) -> None:
        self._deposits[reference] = (account, amount)

    def told_deposit(self, seq: int) -> None:
        self._told_deposits.add(seq)

    def power_cut(self) -> None:
        """At gate `written` the newest of what was acknowledged may be gone; and the log's numbers may jump."""
        if not self._synced:
            self._accepted.clear()
            self._told_deposits.clear()
            self.venue_is_lost = True

    # --- the wire, as it goes -----------------------------------------------------------------------------

    def heard(self, direction: str, messages: Iterable[bytes]) -> None:
        """Every message that left the desk or the venue, in order."""
        for raw in messages:
            message = _parsed(raw)
            if message["35"] == "A" and message.get("141") == "Y":
                self._generation[direction] += 1
            self._hold_number(direction, message)
            if "11" in message and message["35"] in "DFG" and direction == "desk":
                self._hold_same(self._cl_ord_ids, message["11"], message, "ClOrdID")
            if message["35"] == "8" and message["150"] != _STATUS and direction == "venue":
                self._hold_same(self._exec_ids, message["17"], message, "ExecID")

    def _hold_number(self, direction: str, message: _Fix) -> None:
        key = (direction, self._generation[direction], int(message["34"]))
        first = self._numbers.setdefault(key, message)
        if first is message:
            return
        is_again = message.get("43") == "Y"
        if message["35"] == "4":
            if not is_again:
                raise Broken(f"{direction}: gap fill {key[2]} is not marked as a repeat")
            for number in range(key[2], int(message["36"])):
                passed = self._numbers.get((*key[:2], number))
                if passed is not None and passed["35"] not in _ADMIN:
                    raise Broken(f"{direction}: a gap fill passes over {passed}")
            return
        if first["35"] == "4":
            return  # it had stood within a gap fill
        if not is_again or _body(first) != _body(message):
            raise Broken(f"{direction}: MsgSeqNum {key[2]} was used for {first} and for {message}")

    @staticmethod
    def _hold_same(known: dict[str, _Fix], name: str, message: _Fix, what: str) -> None:
        first = known.setdefault(name, message)
        if first is not message and _body(first) != _body(message):
            raise Broken(f"{what} {name} was used for {first} and for {message}")

    # --- once everything has come to rest -------------------------------------------------------------------

    def audit(self, evidence: Evidence) -> None:
        """Raises Broken."""
        log = read_log(evidence.log_dir, evidence.segment_bytes)
        told = [_event(r) for r in log if r.kind >= _EVENTS_FROM]
        self._hold_order(log)
        accepted = self._hold_orders(log, told)
        self._hold_hashes(evidence.hashes)
        self._hold_followers(evidence, told)
        if self.venue_is_lost:
            return  # what the desk and the venue know of each other went with the flush window: an operator's work
        book = self._hold_venue(evidence, accepted)
        self._hold_money(evidence, told, book)
        self._hold_reservations(evidence)

    def _hold_order(self, log: Sequence[LogRecord]) -> None:
        """Sequence numbers without a gap within an epoch, epochs and times that never go back."""
        for before, record in pairwise(log):
            if record.time_ns < before.time_ns or record.epoch < before.epoch:
                raise Broken(f"the log goes back in time or epoch at seq {record.seq}")
            follows = record.seq == before.seq + 1
            may_jump = record.epoch in self._lost_epochs and record.seq > before.seq
            if not follows and not (may_jump and record.epoch > before.epoch):
                raise Broken(f"in the log, seq {record.seq} follows {before.seq}")

    def epoch_after_lost_memory(self, epoch: int) -> None:
        """The numbers before this epoch may jump: what the lost tail held is not numbered again."""
        self._lost_epochs.add(epoch)

    def _hold_orders(self, log: Sequence[LogRecord], told: Sequence[Event]) -> dict[int, Event]:
        """Every acknowledged order is there once, and nothing that was not sent; the same of money paid in."""
        times: Counter[str] = Counter()
        for record in log:
            if record.kind == CommandKind.NEW_ORDER:
                found = commands.decode(record.payload)
                name = found["text"]
                wanted = self._orders.get(name)
                if wanted is None or any(found[field] != value for field, value in wanted.items()):
                    raise Broken(f"the log has an order {name} that nobody sent so: {found}")
                times[name] += 1
        for name, count in times.items():
            if count > self._times_sent[name]:
                raise Broken(f"order {name} was sent {self._times_sent[name]} times, the log has {count}")
        accepted = {e.order_id: e for e in told if _is_acceptance(e)}
        by_name: defaultdict[str, list[int]] = defaultdict(list)
        for order_id, event in accepted.items():
            by_name[event.text].append(order_id)
        for name, order_ids in by_name.items():
            if len(order_ids) != 1:
                raise Broken(f"order {name} was accepted as {order_ids}")
        for name, order_id in self._accepted.items():
            if by_name.get(name) != [order_id]:
                raise Broken(f"order {name} was acknowledged as {order_id}; the log has {by_name.get(name)}")
        missing = self._told_deposits - {e.seq for e in told}
        if missing:
            raise Broken(f"deposits were acknowledged and are not in the log: {sorted(missing)}")
        paid = Counter(commands.decode(r.payload)["text"] for r in log if r.kind == CommandKind.DEPOSIT)
        for reference, count in paid.items():
            if count != 1 or reference not in self._deposits:
                raise Broken(f"deposit {reference} is in the log {count} times")
        return accepted

    @staticmethod
    def _hold_hashes(hashes: dict[str, str]) -> None:
        if len(set(hashes.values())) != 1:
            raise Broken(f"states differ: {hashes}")

    @staticmethod
    def _hold_followers(evidence: Evidence, told: Sequence[Event]) -> None:
        seqs = [event.seq for event in told]
        for name, found in (("projector", evidence.projected), ("consumer", evidence.consumed)):
            if found != seqs:
                odd = next((i for i, (a, b) in enumerate(zip(found, seqs, strict=False)) if a != b), -1)
                raise Broken(
                    f"the {name} has {len(found)} events and the log {len(seqs)}; they part at {odd}"
                )
        last = {e.order_id: e for e in told if e.kind == EventKind.ORDER and e.order_id}
        if evidence.projected_orders != last:
            raise Broken("the projector's orders are not the log's")

    def _hold_venue(self, evidence: Evidence, accepted: dict[int, Event]) -> list[Booked]:
        """The venue has every accepted order once and no other; what it says of each is what the desk knows."""
        messages = [m for m in map(_parsed, evidence.venue_sent) if m["35"] == "8" and m["150"] != _STATUS]
        tales: defaultdict[int, dict[str, _Fix]] = defaultdict(dict)
        for message in messages:
            order_id = _order_id(message.get("41") or message["11"])
            tales[order_id].setdefault(message["17"], message)
        if set(tales) != set(accepted):
            raise Broken(
                f"accepted and not at the venue: {sorted(set(accepted) - set(tales))}; "
                f"at the venue and not accepted: {sorted(set(tales) - set(accepted))}"
            )
        book: list[Booked] = []
        for order_id, by_exec_id in tales.items():
            event, fills = accepted[order_id], _fills(by_exec_id.values())
            first = [m for m in by_exec_id.values() if m["150"] in "08" and "41" not in m]
            if len(first) != 1:
                raise Broken(f"order {order_id} reached the venue {len(first)} times")
            book += [Booked(event.account, event.instrument, event.side, q, p) for q, p in fills]
            self._hold_one(order_id, evidence, by_exec_id, sum((q for q, _ in fills), Decimal()))
        return book

    def _hold_one(self, order_id: int, evidence: Evidence, tale: dict[str, _Fix], cum: Decimal) -> None:
        row = evidence.orders.get(order_id)
        if row is None:
            return  # ended, and its row was given to another
        if row.cum_qty_e8 != cum.scaleb(8):
            raise Broken(f"order {order_id} has traded {cum} at the venue, {row.cum_qty_e8}e-8 here")
        last = max(tale.values(), key=lambda m: int(m["17"][1:]))
        if self._is_well_behaved and row.status != ord(last["39"]):
            raise Broken(f"order {order_id} is {last['39']} at the venue, {chr(row.status)} here")

    def _hold_money(self, evidence: Evidence, told: Sequence[Event], book: Iterable[Booked]) -> None:
        cash: defaultdict[int, Decimal] = defaultdict(Decimal)
        held: defaultdict[tuple[int, int], Decimal] = defaultdict(Decimal)
        by_seq = {event.cause_seq: event for event in told if event.kind == EventKind.CASH}
        for record in read_log(evidence.log_dir, evidence.segment_bytes):
            if record.kind == CommandKind.DEPOSIT and not by_seq[record.seq].reject_code:
                account, amount = self._deposits[commands.decode(record.payload)["text"]]
                cash[account] += amount
        for fill in book:
            sign = 1 if fill.side == Side.BUY else -1
            held[fill.account, fill.instrument] += sign * fill.qty
            cash[fill.account] -= sign * (fill.qty * fill.px).quantize(_CENT, ROUND_HALF_EVEN)
        for account, row in evidence.accounts.items():
            if row.cash_e6 != cash[account].scaleb(6):
                raise Broken(f"account {account} has {row.cash_e6}e-6, its fills leave {cash[account]}")
        for place in set(held) | set(evidence.positions):
            if evidence.positions.get(place, 0) != held[place].scaleb(8):
                raise Broken(
                    f"position {place} is {evidence.positions.get(place, 0)}e-8, traded {held[place]}"
                )

    def _hold_reservations(self, evidence: Evidence) -> None:
        for account, row in evidence.accounts.items():
            if row.open_orders == 0 and row.reserved_e6 != 0:
                raise Broken(f"account {account} has nothing open and {row.reserved_e6}e-6 reserved")
            if row.reserved_e6 < 0 or (self._is_well_behaved and row.reserved_e6 > row.cash_e6):
                raise Broken(f"account {account} reserves {row.reserved_e6}e-6 of {row.cash_e6}e-6")
        for place, exposed in evidence.exposed.items():
            if self._is_well_behaved and exposed > self._position_max_e8:
                raise Broken(f"position {place} may become {exposed}e-8, over its limit")


def _event(record: LogRecord) -> Event:
    return events.decode(record.seq, record.time_ns, record.payload)


def _is_acceptance(event: Event) -> bool:
    return event.kind == EventKind.ORDER and event.exec_type == ExecType.PENDING_NEW


def _parsed(raw: bytes) -> _Fix:
    return dict(part.split("=", 1) for part in raw.decode("latin-1").split("\x01") if part)


def _body(message: _Fix) -> _Fix:
    return {tag: value for tag, value in message.items() if tag not in _ENVELOPE}


def _order_id(cl_ord_id: str) -> int:
    """TW000-42 and TW000-42R3 are order 42."""
    return int(cl_ord_id.split("-")[1].split("R")[0])


def _fills(messages: Iterable[_Fix]) -> list[tuple[Decimal, Decimal]]:
    """(quantity, price) of what stands of one order's trades."""
    standing: dict[str, tuple[Decimal, Decimal]] = {}
    for message in sorted(messages, key=lambda m: int(m["17"][1:])):
        if message["150"] in "GH":
            standing.pop(message["19"], None)
        if message["150"] in "FG":
            standing[message["17"]] = (Decimal(message["32"]), Decimal(message["31"]))
    return list(standing.values())
