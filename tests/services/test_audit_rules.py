"""The audit's own rules against the publisher's and the projector's, over the real actors' random histories.

The two say what an event means each in its own words; here each event of a history has to be said alike by both.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from core import events
from core.events import Event
from core.records import EventKind
from services import schemas
from services.audit.facts import Facts
from services.audit.findings import Findings
from services.audit.said import NOT_JUDGED, facts_of
from services.audit.stream import Extent, Hearing, Message
from services.audit.tables import TABLES, _comparable, _key
from services.names import Names
from services.projection import Batch
from services.schemas import Update
from services.translate import to_update
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader
from tests.actors.desk import Desk
from tests.actors.test_model import History

SHARD = 0
EPOCH = 3


class NoSource:
    """Every name that there is, the log has told."""

    def account_text(self, account: int) -> str | None:
        return None

    def symbol(self, instrument: int) -> str | None:
        return None


def happened(desk: Desk) -> list[Event]:
    reader = LogReader(desk.log_dir, desk.run_dir, Reader.PUBLISHER)
    try:
        records = [record for batch in iter(reader.read, []) for record in batch]
    finally:
        reader.close()
    kinds = set(EventKind)
    return [events.decode(r.seq, r.time_ns, r.payload) for r in records if r.kind in kinds]


def updates_of(told: list[Event]) -> list[Update]:
    names, prior, made = Names(NoSource()), 0, []
    for event in told:
        names.learn(event)
        account, symbol = names.account(event.account), names.symbol(event.instrument)
        made.append(to_update(event, shard=SHARD, prior_seq=prior, account=account, symbol=symbol))
        prior = event.seq
    return made


async def _messages(updates: list[Update], epoch: int = EPOCH) -> AsyncIterator[Message]:
    for number, update in enumerate(updates, 1):
        body = json.loads(schemas.encode(update))
        yield Message(number, schemas.subject_of(update), f"{SHARD}:{update.seq}", str(epoch), body)


async def _heard(
    told: list[Event], updates: list[Update], facts: Facts, findings: Findings, epoch: int = EPOCH
) -> int:
    hearing = Hearing("TRADEWIND", SHARD, _messages(updates, epoch), facts, findings, kept_from=1)
    await hearing.begin(Extent(1, len(updates), 0))
    for event in told:
        for kind, number, is_one in (
            ("account", event.account, event.kind == EventKind.ACCOUNT),
            ("symbol", event.instrument, event.kind == EventKind.INSTRUMENT),
        ):
            if is_one and number and event.text and not event.reject_code:
                facts.tell_name(kind, number, event.text)
        for fact in facts_of(event, SHARD):
            facts.tell(fact)
        await hearing.hear(event, EPOCH)
    await hearing.end()
    return hearing.compared


_BATCHES = ("accounts", "instruments", "groups", "orders", "executions", "positions", "cash")


def projected(updates: list[Update]) -> dict[str, dict[Any, dict[str, Any]]]:
    """The rows, as Postgres would hold them after one batch for each update."""
    rows: dict[str, dict[Any, dict[str, Any]]] = {name: {} for name in _BATCHES}
    keep = {"orders": {"created_ns"}}
    keep_if_null = {"orders": {"reject_code", "reject_message"}, "accounts": {"household_id"}}
    for update in updates:
        batch = Batch()
        batch.add(update)
        for name, found in rows.items():
            for key, row in getattr(batch, name).items():
                old = found.get(key)
                new = dict(row)
                if old is not None:
                    for column in new:
                        kept = column in keep.get(name, ())
                        kept |= new[column] is None and column in keep_if_null.get(name, ())
                        new[column] = old[column] if kept else new[column]
                found[key] = new
    return rows


_TEXT = {"order_id", "client_order_id", "account", "symbol", "side", "ord_type", "tif", "ord_status", "reject_message",
         "execution_id", "currency", "state", "name", "level"}  # fmt: skip


def assert_the_facts_are_the_rows(facts: Facts, rows: dict[str, dict[Any, dict[str, Any]]]) -> None:
    for table in TABLES:
        said = dict(facts.rows(table.name))
        assert set(said) == {_key(table, row) for row in rows[table.name].values()}, table.name
        for row in rows[table.name].values():
            expected = {**dict.fromkeys(table.nulls), **said[_key(table, row)]}
            for column, value in expected.items():
                found = row[column]
                if isinstance(found, str) and column not in _TEXT:
                    found = Decimal(found)
                assert value in (NOT_JUDGED, _comparable(found)), (table.name, row, column, value)
            told = {*expected, "shard", *table.keys, *(name for name, _ in table.names)}
            assert set(row) <= told, f"{table.name}: the audit says nothing of {set(row) - told}"


class AuditedHistory(History):
    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.is_said_alike()
        super().teardown()

    def is_said_alike(self) -> None:
        told = happened(self.desk)
        updates = updates_of(told)
        facts, findings = Facts(), Findings()
        assert asyncio.run(_heard(told, updates, facts, findings)) == len(told)
        assert findings.total == 0, "\n".join(map(str, findings.kept[:20]))
        assert_the_facts_are_the_rows(facts, projected(updates))
        facts.close()


TestEveryEventIsSaidAlike = AuditedHistory.TestCase
TestEveryEventIsSaidAlike.settings = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


async def test_a_message_of_another_owners_epoch_is_named(tmp_path: Path, run_dir: Path) -> None:
    """In every other word the same."""
    desk = Desk(tmp_path / "log", run_dir)
    desk.open_market()
    told = happened(desk)
    desk.close()
    findings = Findings()
    assert await _heard(told, updates_of(told), Facts(), findings, epoch=EPOCH - 1) == len(told)
    assert findings.total == len(told)
    assert {(d.field, d.log, d.other) for d in findings.kept} == {("Tradewind-Epoch", "3", "2")}
