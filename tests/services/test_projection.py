"""What updates about money and levels leave in the tables."""

from __future__ import annotations

from typing import Any

from core.currencies import EUR, USD
from core.events import Event
from core.records import NO_LIMIT, AccountState, EventKind, InstrumentState, Level
from core.rejects import Reject
from services.projection import Batch
from services.schemas import CashUpdate, GroupUpdate, SettlementUpdate, TableUpdate, Update, subject_of
from services.translate import to_update


def update(kind: EventKind, seq: int = 1, **fields: Any) -> Update:
    values: dict[str, Any] = {
        "seq": seq, "time_ns": seq, "kind": int(kind), "source": 3, "reject_code": 0, "account": 0,
        "instrument": 0, "request_id": 1, "order_id": 0, "cause_seq": seq - 1, "text": "", **fields,
    }  # fmt: skip
    return to_update(Event(**values), shard=0, prior_seq=seq - 1, account="TW1", symbol="ACME")


def paid(seq: int, currency: int, cash_e6: int, **fields: int) -> Update:
    return update(EventKind.CASH, seq, account=1, currency=currency, cash_e6=cash_e6, **fields)


def test_each_currency_has_a_row_of_its_own() -> None:
    batch = Batch()
    for one in (paid(1, USD, 5_000_000), paid(2, EUR, 7_000_000), paid(3, USD, 6_000_000)):
        batch.add(one)
    assert {key: (row["cash"], row["seq"]) for key, row in batch.cash.items()} == {
        (1, "USD"): ("6", 3), (1, "EUR"): ("7", 2),
    }  # fmt: skip


def test_a_payment_tells_what_has_settled() -> None:
    found = paid(1, USD, 10_000_000, receivable_e6=4_000_000, payable_e6=1_000_000)
    assert isinstance(found, CashUpdate)
    assert (found.cash, found.receivable, found.payable, found.settled) == ("10", "4", "1", "7")


def test_a_group_is_stored_with_its_limits_and_none_where_there_is_none() -> None:
    batch = Batch()
    group = update(
        EventKind.GROUP, text="Private clients", group=2, parent=1, level=Level.DESK, state=AccountState.REDUCING,
        currency=USD, max_order_notional_e6=NO_LIMIT, max_open_notional_e6=5_000_000, max_gross_e6=0,
    )  # fmt: skip
    assert isinstance(group, GroupUpdate)
    assert subject_of(group) == "tradewind.v1.group.0.Private_20clients.reducing"
    batch.add(group)
    row = batch.groups[2]
    assert (row["name"], row["level"], row["parent_id"], row["state"]) == (
        "Private clients",
        "desk",
        1,
        "reducing",
    )
    limits = [row[name] for name in ("max_order_notional", "max_open_notional", "max_gross")]
    assert limits == [None, "5", "0"]


def test_an_account_keeps_its_household_when_a_break_only_tells_its_state() -> None:
    batch = Batch()
    batch.add(update(EventKind.ACCOUNT, account=1, group=4, currency=USD))
    assert batch.accounts[1]["household_id"] == 4
    batch.add(update(EventKind.BREAK, 2, account=1, state=AccountState.REDUCING))
    assert (batch.accounts[1]["state"], batch.accounts[1]["household_id"]) == ("reducing", 4)
    later = Batch()
    later.add(update(EventKind.BREAK, 3, account=1, state=AccountState.REDUCING))
    assert later.accounts[1]["household_id"] is None, "what the table has is kept (services/portfolio.py)"


def test_an_instrument_is_stored_with_its_session_and_static_prices() -> None:
    batch = Batch()
    batch.add(
        update(
            EventKind.INSTRUMENT, instrument=1, text="ACME", currency=EUR, state=InstrumentState.AUCTION,
            previous_close_e8=99 * 10**8,
        )
    )  # fmt: skip
    row = batch.instruments[1]
    stored = (row["state"], row["currency"], row["previous_close"], row["reference_price"])
    assert stored == ("auction", "EUR", "99", None)


def test_what_was_refused_is_stored_nowhere() -> None:
    batch = Batch()
    batch.add(update(EventKind.GROUP, text="x", reject_code=int(Reject.GROUP_PARENT)))
    batch.add(update(EventKind.ACCOUNT, account=1, reject_code=int(Reject.GROUP_UNKNOWN)))
    assert [batch.groups, batch.accounts, batch.cash] == [{}, {}, {}]


def test_settlement_days_and_tables_travel_under_their_own_subjects() -> None:
    day = update(EventKind.SETTLEMENT, date=20261124)
    ticks = update(EventKind.INSTRUMENT_TABLE, tick_table=3, bands=2)
    lots = update(EventKind.INSTRUMENT_TABLE, lot_table=4, qty_e8=100 * 10**8)
    assert isinstance(day, SettlementUpdate)
    assert isinstance(ticks, TableUpdate)
    assert isinstance(lots, TableUpdate)
    assert [subject_of(one) for one in (day, ticks, lots)] == [
        "tradewind.v1.settlement.0._.20261124",
        "tradewind.v1.table.0._.tick-3",
        "tradewind.v1.table.0._.lot-4",
    ]
    assert (ticks.round_lot, lots.round_lot) == (None, "100")
