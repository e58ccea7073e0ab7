"""`tradewind explain ORDER`: why an order was taken or refused, and what became of it.

The state is brought to the moment before the order (the newest snapshot before it, then the log), each check is shown
with its figures, then the order's records in the log, and the FIX messages that the platform sent about it, byte for
byte but for secrets.

Always holds: reading changes nothing, and works while the stack runs and after it has died. The first check that fails
is held against the reject in the log; when they differ this is said, and what the log says counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from actors.recovery import begin
from actors.replay import Replica
from actors.tables import Capacity, private_state
from actors.view import StateView
from app.config import Config
from app.faults import StackError
from app.log_tool import fields, records, segment_bytes_of
from app.order_checks import Line, order_checks
from app.recover import bring
from app.stored_snapshots import all_offers
from core import commands, events, ids, units
from core.records import CommandKind
from core.risk import CHECKS
from fix.redact import readable
from fix.store import sent_messages
from shared_mem.log import LogError
from shared_mem.log_reader import Record
from shared_mem.log_view import LogView, living_tail

# A life of more records than this is cut: an order with a million fills is read with `tradewind log cat --order`.
RECORDS_MAX: Final = 10_000


class OrderUnknown(StackError):
    """No such order in what is kept of the log."""


class Life(NamedTuple):
    order: Record  # the NEW_ORDER
    verdict: Record  # its first event
    later: list[Record]
    is_cut: bool


class Message(msgspec.Struct, frozen=True):
    session: str
    seq: int
    text: str


class Explanation(msgspec.Struct, frozen=True):
    """checks is None where the state before the order can't be rebuilt; remark then says why."""

    order: dict[str, Any]
    verdict: dict[str, Any]
    market: dict[str, str]
    checks: list[Line] | None
    remark: str
    life: list[dict[str, Any]]
    sent: list[Message]


def explain(config: Config, name: str) -> Explanation:
    """name: an order's number, its id in the REST API, a ClOrdID of ours, or the client's own id for it.

    Raises OrderUnknown; StackError for a log that can't be read."""
    life = _life(config, name)
    order = commands.decode(life.order.payload)
    checks, remark = None, ""
    try:
        view = _state_before(config, life.order)
        checks = order_checks(view, order, life.order.time_ns)
        remark = _difference(checks, life.verdict)
    except LogError as error:
        remark = f"the state before the order can't be rebuilt: {error}"
    quote_time_ns = order["quote_time_ns"]
    market = {} if not quote_time_ns else {
        "bid": units.price_text(order["bid_e8"]),
        "ask": units.price_text(order["ask_e8"]),
        "age_ms": f"{(life.order.time_ns - quote_time_ns) / 1e6:.3f}",
    }  # fmt: skip
    if life.is_cut:
        remark = f"{remark} Only the first {RECORDS_MAX} records are shown.".strip()
    return Explanation(
        {**fields(life.order), "id": str(ids.order_uuid(config.shard, life.order.seq))},
        fields(life.verdict),
        market,
        checks,
        remark,
        [fields(record) for record in life.later],
        list(_sent(config, life.order.seq)),
    )


def _wanted(config: Config, name: str) -> tuple[int | None, bytes]:
    """(the order's number, or None; the client's id)."""
    if name.isdecimal() and name.isascii():
        return int(name), name.encode()
    text = name.encode("ascii", "replace")
    with contextlib.suppress(ids.IdError):
        return ids.number_of(name, config.shard), text
    with contextlib.suppress(ids.IdError):
        return ids.order_id_of(name), text
    return None, text


def _life(config: Config, name: str) -> Life:
    number, text = _wanted(config, name)
    order: Record | None = None
    verdict: Record | None = None
    later: list[Record] = []
    wanted = b""
    oldest = 0
    for record in records(config):
        oldest = oldest or record.seq
        if order is None:
            if record.kind == CommandKind.NEW_ORDER and (
                record.seq == number or (text and record.payload.endswith(text) and _text_of(record) == text)
            ):
                order = record
                wanted = record.seq.to_bytes(8, "little")
        elif verdict is None:
            verdict = record
        elif wanted in record.payload and fields(record).get("order_id") == order.seq:
            later.append(record)
            if len(later) > RECORDS_MAX:
                break
    if order is None or verdict is None:
        raise OrderUnknown(
            f"no order {name!r} in what is kept of this log (from seq {oldest} on): give its number, its id in the "
            "REST API, its ClOrdID at the venue, or the client's id for it"
        )
    return Life(order, verdict, later[:RECORDS_MAX], len(later) > RECORDS_MAX)


def _text_of(record: Record) -> bytes:
    return str(commands.decode(record.payload)["text"]).encode()


def _state_before(config: Config, order: Record) -> StateView:
    """The state in which the order met its checks."""
    size = segment_bytes_of(config.log_dir)
    view = LogView(config.log_dir, size, order.position, living_tail(config.log_dir, config.run_dir))
    before = [offer for offer in all_offers(config).offers if offer.log_position <= order.position]
    begun = begin(before, lambda: private_state(Capacity()), view)
    replica = Replica(Capacity(), size, begun.state)
    bring(replica, view)
    return StateView(config.run_dir, replica.state)


def _difference(checks: list[Line], verdict: Record) -> str:
    """What our account of the checks and the log's do not agree on; empty when they do, and for a reject of something
    else than a check."""
    event = events.decode(verdict.seq, verdict.time_ns, verdict.payload)
    failed = next((line for line in checks if line.code), None)
    found = (0, 0, 0) if failed is None else (failed.code, failed.code_limit, failed.code_value)
    logged = (event.reject_code, event.limit_value, event.observed_value)
    is_of_a_check = event.reject_code == 0 or any(event.reject_code in check.codes for check in CHECKS)
    if found == logged or not is_of_a_check:
        return ""
    ours = events.reject_message(*found) if found[0] else "every check passes"
    return f"These figures say otherwise than the log, which counts: {ours}. Another version decided, or this is a bug."


def _sent(config: Config, order_id: int) -> Iterator[Message]:
    """What our FIX sessions sent that names the order: to the venue by ClOrdID, to a client by OrderID."""
    name = ids.cl_ord_id(config.shard, order_id).encode()
    names = re.compile(rb"\x01(?:11|41)=" + re.escape(name) + rb"(?:R\d+)?\x01")
    for folder in sorted(path.parent for path in config.data_dir.glob("fix*/**/00*.fix")):
        for message in sent_messages(folder):
            if names.search(message.raw):
                yield Message(folder.name, message.seq, readable(message.raw))


# -- the command -----------------------------------------------------------------------------------------------


def show(config: Config, words: argparse.Namespace) -> int:
    found = explain(config, words.order)
    if words.json:
        print(json.dumps(_plain(found), indent=2))
    else:
        print("\n".join(_text(found)))
    return 0


def _plain(found: Explanation) -> dict[str, Any]:
    return {
        "order": found.order,
        "market": found.market,
        "verdict": found.verdict,
        "checks": None if found.checks is None else [_figures(line) for line in found.checks],
        "remark": found.remark,
        "life": found.life,
        "sent": [msgspec.to_builtins(message) for message in found.sent],
    }


def _figures(line: Line) -> dict[str, str]:
    values = {"asked": line.asked, "used": line.used, "limit": line.limit, "headroom": line.headroom}
    shown = {
        name: "" if value is None else events.value_text(value, line.unit) for name, value in values.items()
    }
    passed = (
        "passed" if line.code == 0 else events.reject_message(line.code, line.code_limit, line.code_value)
    )
    return {"check": line.check, "of": line.scope, "what": line.what, **shown, "outcome": passed}


def _text(found: Explanation) -> Iterator[str]:
    order = found.order
    about = " ".join(
        str(order[name]) for name in ("side", "qty", "ord_type", "price", "tif") if name in order
    )
    yield f"order {order['seq']}  {order['id']}  client's id {order.get('text', '')!r}"
    yield f"{order['time']} UTC  {about}"
    if found.market:
        yield "it saw  bid {bid}  ask {ask}, {age_ms} ms old".format(**found.market)
    yield ""
    if found.checks is not None:
        yield from _table([_figures(line) for line in found.checks])
    if found.remark:
        yield f"! {found.remark}"
    yield ""
    yield f"outcome  {found.verdict.get('reject') or found.verdict.get('ord_status', '')}"
    last = datetime.fromisoformat(order["time"])
    for record in (found.verdict, *found.life):
        now = datetime.fromisoformat(record["time"])
        after = (now - last).total_seconds() * 1e3
        about = " ".join(f"{name}={value}" for name, value in record.items() if name in _TOLD)
        yield f"  {record['time'][11:]} {after:+12.3f} ms  {record['seq']:>9} {record['kind']:<13} {about}".rstrip()
        last = now
    if found.sent:
        yield ""
        yield "FIX messages sent about it (what came in stands above, as it was booked)"
    for message in found.sent:
        yield f"  {message.session} number {message.seq}: {message.text}"


# Of a record of the order's life, what a reader wants to see of each.
_TOLD: Final = (
    "exec_type", "ord_status", "reject", "source", "last_qty", "last_px", "cum_qty", "leaves_qty", "route_price",
    "reserved", "cash", "position_qty", "venue_seq", "text",
)  # fmt: skip


def _table(rows: list[dict[str, str]]) -> Iterator[str]:
    names = list(rows[0])
    width = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    right = ("asked", "used", "limit", "headroom")

    def line(row: dict[str, str]) -> str:
        cells = (row[n].rjust(width[n]) if n in right else row[n].ljust(width[n]) for n in names)
        return "  ".join(cells).rstrip()

    yield line({name: name for name in names})
    yield from map(line, rows)
