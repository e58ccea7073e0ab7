"""Everyone's books of one stack, read from where each is kept, and held against each other once all is at rest.

The log is the record. The wire is the witness: cash, positions and fills are computed from its bytes alone, in
decimals. REST, Postgres, JetStream and the mailbox have to say the same, and no one anything twice.
"""

from __future__ import annotations

import asyncio
import email
import json
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal
from typing import Any, NamedTuple

import asyncpg

from actors.view import StateView
from app import config
from app.roles.shard import DEMO_CASH_E6
from core import events, ids
from core.events import Event
from core.records import CommandKind, EventKind, ExecType, OrdStatus
from services.audit.auditor import audit
from services.schemas import Update
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader, Record
from tests.acceptance.desk import Trader, eventually
from tests.acceptance.wire import Relay, Wire
from tests.services.test_publisher import stream_messages
from tests.stack import ROOT, Stack

OPENING_CASH = Decimal(DEMO_CASH_E6).scaleb(-6)
SHARD = 0
_CLOSED = (OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED)


def urls_of(stack: Stack) -> config.Config:
    return config.load({"data_dir": str(stack.data_dir), "port_base": str(stack.port_base)}, {}, ROOT)


class Log:
    """Every record of a running stack's log, from its beginning."""

    def __init__(self, stack: Stack) -> None:
        reader = LogReader(stack.data_dir / "log", stack.run_dir, Reader.AUDIT)
        self.records: list[Record] = []
        while found := reader.read(10_000):
            self.records += found
        reader.close()
        self.events = [
            events.decode(r.seq, r.time_ns, r.payload) for r in self.records if r.kind in set(EventKind)
        ]

    @property
    def order_events(self) -> list[Event]:
        return [e for e in self.events if e.kind == EventKind.ORDER]

    @property
    def fills(self) -> list[Event]:
        return [e for e in self.order_events if e.exec_type == ExecType.TRADE and not e.reject_code]

    def accepted(self) -> dict[str, list[int]]:
        """Numbers of the orders that were accepted, by client_order_id."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for event in self.order_events:
            if event.exec_type == ExecType.PENDING_NEW:
                found[event.text].append(event.order_id)
        return dict(found)

    def asked_from(self, seq: int) -> list[Record]:
        """Orders and cancels that anybody's request put into the log from `seq` on."""
        kinds = (CommandKind.NEW_ORDER, CommandKind.CANCEL)
        return [r for r in self.records if r.seq >= seq and r.kind in kinds]


class Tables(NamedTuple):
    orders: dict[int, Any]
    executions: dict[int, Any]
    positions: dict[str, Any]
    cash: Any
    cursors: dict[str, int]


async def _tables(url: str) -> Tables:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return Tables(
                {row["order_number"]: row for row in await connection.fetch("SELECT * FROM orders")},
                {row["seq"]: row for row in await connection.fetch("SELECT * FROM executions")},
                {row["symbol"]: row for row in await connection.fetch("SELECT * FROM positions")},
                await connection.fetchrow("SELECT * FROM cash"),
                {
                    row["consumer"]: row["seq"]
                    for row in await connection.fetch("SELECT * FROM projection_cursor")
                },
            )
    finally:
        await connection.close()


def tables(stack: Stack) -> Tables:
    return asyncio.run(_tables(urls_of(stack).postgres_url))


def stream(stack: Stack) -> list[Update]:
    """Every message of the shard's stream, in its order."""
    return [update for _, update in asyncio.run(stream_messages(urls_of(stack).nats_url))]


def mails(stack: Stack) -> list[str]:
    """Message-ID of every mail in the mailbox."""
    folder = stack.data_dir / "mailbox"
    paths = [path for name in ("new", "cur") for path in (folder / name).iterdir()]
    return [str(email.message_from_bytes(path.read_bytes())["Message-ID"]) for path in paths]


def replayed(stack: Stack) -> dict[str, Any]:
    """What a fresh process makes of the log."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.replayed", str(stack.data_dir)],
        cwd=ROOT, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def come_to_rest(stack: Stack) -> None:
    """Until every request has its answer, and every follower has read the log to its end."""
    view = StateView.attach(stack.run_dir)
    pending = (OrdStatus.PENDING_NEW, OrdStatus.PENDING_CANCEL)

    def is_answered() -> bool:
        return not any(o.ord_status in pending for o in view.orders(1, 100_000))

    def is_read() -> bool:
        last = Log(stack).events[-1].seq
        cursors = tables(stack).cursors
        return cursors.get("portfolio") == cursors.get("notifications") == last

    eventually(is_answered, "the venue's answer to every request")
    eventually(is_read, "the end of the log in Postgres and in the mailbox")


def assert_everyone_agrees(stack: Stack, relay: Relay, trader: Trader) -> None:
    """At rest, with no open orders: log, wire, REST, Postgres, JetStream, mails and a replay are one story."""
    come_to_rest(stack)
    log, wire = Log(stack), Wire(relay)
    wire.assert_nothing_is_doubled()
    assert_the_log_is_the_wire(log, wire)
    assert_rest_is_the_wire(trader, wire)
    assert_postgres_is_the_log(tables(stack), log)
    assert_the_stream_is_the_log(stack, log)
    assert_the_desks_own_audit_agrees(stack, log)
    assert_one_mail_per_fill(stack, log)
    assert_a_replay_gives_the_living_state(stack)
    assert_the_ledger_is_the_log(trader, log)


def assert_the_log_is_the_wire(log: Log, wire: Wire) -> None:
    """The same fills, order by order, and every order that was accepted went out; nothing else did."""
    by_order: defaultdict[str, list[tuple[Decimal, Decimal]]] = defaultdict(list)
    for fill in log.fills:
        qty, price = Decimal(fill.last_qty_e8).scaleb(-8), Decimal(fill.last_px_e8).scaleb(-8)
        by_order[ids.cl_ord_id(SHARD, fill.order_id)].append((qty, price))
    assert dict(by_order) == wire.fills_by_order()
    numbers = [number for numbers in log.accepted().values() for number in numbers]
    assert {ids.cl_ord_id(SHARD, n) for n in numbers} == {m[11] for m in wire.new_orders}


def assert_rest_is_the_wire(trader: Trader, wire: Wire) -> None:
    assert trader.positions() == wire.positions()
    account = trader.get("/v2/account")
    assert Decimal(account["cash"]) == wire.cash(OPENING_CASH)
    assert Decimal(account["reserved"]) == 0
    assert account["buying_power"] == account["cash"]


def assert_postgres_is_the_log(found: Tables, log: Log) -> None:
    last: dict[int, Event] = {}
    for event in log.order_events:
        if event.exec_type != ExecType.CANCEL_REJECT and event.order_id != 0:
            last[event.order_id] = event
    refused_doubles = {e.order_id for e in log.order_events if e.exec_type == ExecType.REJECTED} - set(
        found.orders
    )
    assert set(found.orders) == set(last) - refused_doubles
    for number, row in found.orders.items():
        event = last[number]
        assert row["client_order_id"] == event.text
        assert row["ord_status"] == OrdStatus(event.ord_status).name.lower()
        assert row["cum_qty"] == Decimal(event.cum_qty_e8).scaleb(-8)
        assert row["cum_notional"] == Decimal(event.cum_notional_e6).scaleb(-6)
        assert row["leaves_qty"] == 0 or event.ord_status not in _CLOSED
    assert sorted(found.executions) == [fill.seq for fill in log.fills]
    for fill in log.fills:
        row = found.executions[fill.seq]
        assert row["execution_id"] == str(ids.execution_uuid(SHARD, fill.seq))
        assert row["order_number"] == fill.order_id
        assert row["last_qty"] == Decimal(fill.last_qty_e8).scaleb(-8)
        assert row["last_px"] == Decimal(fill.last_px_e8).scaleb(-8)
    # The tables against each other: what is held is what was executed, and the money is where it went.
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    paid = Decimal()
    for row in found.executions.values():
        signed = row["last_qty"] if row["side"] == "buy" else -row["last_qty"]
        held[row["symbol"]] += signed
        paid += signed * row["last_px"]
    assert {symbol: row["qty"] for symbol, row in found.positions.items()} == dict(held)
    assert found.cash["cash"] == OPENING_CASH - paid
    assert found.cash["cash"] == Decimal(log.events[-1].cash_e6).scaleb(-6)
    cost, realized = (sum(row[name] for row in found.positions.values()) for name in ("cost", "realized"))
    assert found.cash["cash"] == OPENING_CASH - cost + realized


def assert_the_stream_is_the_log(stack: Stack, log: Log) -> None:
    updates = stream(stack)
    seqs = [event.seq for event in log.events]
    assert [update.seq for update in updates] == seqs
    assert [update.prior_seq for update in updates] == [0, *seqs[:-1]]


def assert_the_desks_own_audit_agrees(stack: Stack, log: Log) -> None:
    urls = urls_of(stack)
    report = asyncio.run(
        audit(log.records, shard=SHARD, postgres_url=urls.postgres_url, nats_url=urls.nats_url)
    )
    assert report.agrees, "\n".join(map(str, report.first))
    assert report.is_complete
    assert [store.behind for store in report.stores.values()] == [0, 0, 0]


def assert_one_mail_per_fill(stack: Stack, log: Log) -> None:
    expected = [f"<{ids.execution_uuid(SHARD, fill.seq)}@tradewind>" for fill in log.fills]
    assert sorted(mails(stack)) == sorted(expected)


def assert_a_replay_gives_the_living_state(stack: Stack) -> None:
    """From the log's beginning, and from the newest snapshot if there is one."""
    view, found = StateView.attach(stack.run_dir), replayed(stack)
    assert (found["seq"], found["state_hash"]) == (view.seq, view.state_hash())
    assert found["from_snapshot"] in (None, view.state_hash())


def assert_the_ledger_is_the_log(trader: Trader, log: Log) -> None:
    """Acknowledged orders are there, refused ones are not, and one without an answer is there once or not at all."""
    accepted = log.accepted()
    for name, status in trader.answers.items():
        times = len(accepted.get(name, ()))
        assert times <= 1, f"{name} was accepted {times} times"
        if status == 200:
            assert times == 1, f"{name} was acknowledged and is not there"
        elif 400 <= status < 500:
            assert times == 0, f"{name} was refused ({status}) and is there"
        else:
            assert status in (0, 503), f"{name} was answered {status}"
            assert trader.is_known(name) == (times == 1)
