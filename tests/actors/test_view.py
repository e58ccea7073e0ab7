"""The window on a living shard: it shows what the tables have, whole rows only, and follows a restart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from actors.instrument import on_tick
from actors.shard import Lane
from actors.state_file import create_state, publish_state, state_path
from actors.tables import R_ORDERS, Array, State
from actors.view import StateBusy, StateView
from core import commands
from core.records import TICK, AccountState, ExecType, OrdStatus, OrdType, Side, Source, TickKind
from core.units import cash_e6, qty_e8
from shared_mem.atomics import load_acquire, pause
from shared_mem.jit import jit
from shared_mem.segment import LayoutMismatch, Segment, SegmentMissing
from tests.actors.desk import (
    ASK_E8,
    BID_E8,
    CAPACITY,
    COLLAR_BPS,
    LOT_E8,
    TICK_E8,
    ShardDesk,
    account,
    deposit,
    order,
)


@pytest.fixture
def a_view(a_shard: ShardDesk) -> StateView:
    return StateView.attach(a_shard.run_dir)


def test_accounts_positions_and_instruments_are_shown(a_shard: ShardDesk, a_view: StateView) -> None:
    a_shard.push(Lane.ORDERS_GATEWAY, order("mine"))
    a_shard.push(Lane.ADMIN, commands.set_account_state(request_id=1, account=1, state=AccountState.REDUCING))
    a_shard.turn_until_quiet()
    found = a_view.account_by_text("TW000001")
    assert found is not None
    assert found == a_view.account(1) == a_view.accounts()[0]
    assert (found.account, found.text, found.state) == (1, "TW000001", AccountState.REDUCING)
    assert (found.cash_e6, found.open_orders) == (cash_e6(1_000_000), 0)
    shown = a_view.instrument_by_symbol("ACME")
    assert shown is not None
    assert [shown] == a_view.instruments() == [a_view.instrument(1)]
    assert (shown.tick_e8, shown.lot_e8, shown.collar_bps) == (TICK_E8, LOT_E8, COLLAR_BPS)
    assert (shown.bid_e8, shown.ask_e8) == (BID_E8, ASK_E8)


def test_an_order_is_found_by_its_id_and_by_its_name(a_shard: ShardDesk, a_view: StateView) -> None:
    for name in ("first", "second"):
        a_shard.push(Lane.ORDERS_GATEWAY, order(name))
    a_shard.turn_until_quiet()
    first, second = a_shard.events()
    a_shard.push(
        Lane.REPORTS_VENUE,
        commands.venue_report(
            venue_seq=1, order_id=first.order_id, exec_type=ExecType.TRADE, ord_status=OrdStatus.NEW,
            last_qty_e8=qty_e8(4), last_px_e8=ASK_E8,
        ),
    )  # fmt: skip
    a_shard.push(
        Lane.CANCELS_GATEWAY,
        commands.cancel(source=Source.GATEWAY, request_id=9, account=1, order_id=second.order_id),
    )
    a_shard.turn_until_quiet()
    view = a_view.order_by_client_id(1, "first")
    assert view is not None
    assert view == a_view.order(first.order_id)
    assert (view.client_order_id, view.ord_status, view.cum_qty_e8) == (
        "first",
        OrdStatus.PARTIALLY_FILLED,
        qty_e8(4),
    )
    assert (view.leaves_qty_e8, view.reserved_e6, view.side) == (qty_e8(6), cash_e6(600), Side.BUY)
    assert view.ord_type == OrdType.LIMIT
    assert [o.client_order_id for o in a_view.orders(1)] == ["second", "first"]
    assert [o.client_order_id for o in a_view.orders(1, limit=1)] == ["second"]
    assert a_view.orders(1)[0].ord_status == OrdStatus.PENDING_CANCEL
    held = a_view.position(1, 1)
    assert held is not None
    assert (held.qty_e8, held.cost_e6, held.open_buy_e8) == (qty_e8(4), cash_e6(400), qty_e8(16))
    assert a_view.positions(1) == [held]
    owner = a_view.account(1)
    assert owner is not None
    assert (owner.open_orders, owner.reserved_e6) == (2, cash_e6(1600))


def test_what_is_not_there_is_none(a_view: StateView) -> None:
    assert [a_view.account(n) for n in (0, 2, 2**31)] == [None] * 3
    assert [a_view.instrument(n) for n in (0, 2)] == [None] * 2
    assert (
        a_view.account_by_text("") is a_view.account_by_text("x" * 33) is a_view.account_by_text("é") is None
    )
    assert a_view.instrument_by_symbol("ACM") is a_view.instrument_by_symbol("ACMEX") is None
    assert a_view.order(0) is a_view.order(12345) is a_view.order_by_client_id(1, "none") is None
    assert a_view.position(1, 1) is a_view.position(7, 7) is None
    assert a_view.positions(1) == a_view.positions(9) == []
    assert a_view.orders(1) == a_view.orders(9) == []


def test_a_view_shows_only_what_is_left_of_recycled_orders(a_shard: ShardDesk, a_view: StateView) -> None:
    for n in range(3 * CAPACITY.orders):
        a_shard.push(Lane.ORDERS_GATEWAY, order(f"o{n}", qty_e8=qty_e8(1)))
        a_shard.turn()
        placed = a_shard.events()[0]
        canceled = commands.venue_report(
            venue_seq=n + 1, order_id=placed.order_id, exec_type=ExecType.CANCELED, ord_status=OrdStatus.NEW
        )
        a_shard.push(Lane.REPORTS_VENUE, canceled)
        a_shard.turn_until_quiet()
        a_shard.events()
    assert a_view.state.registers[R_ORDERS] == CAPACITY.orders
    names = [o.client_order_id for o in a_view.orders(1)]
    assert names == [f"o{n}" for n in reversed(range(2 * CAPACITY.orders, 3 * CAPACITY.orders))]
    assert a_view.order_by_client_id(1, "o0") is None


def test_an_order_whose_row_is_taken_while_it_is_looked_up_is_not_mixed_up(
    a_shard: ShardDesk, a_view: StateView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index names a row; before the row is read, another order has it."""
    a_shard.push(Lane.ORDERS_GATEWAY, order("old"))
    a_shard.turn_until_quiet()
    row = a_shard.shard.state.orders[0]
    found = a_view._order

    def taken_over(number: int) -> object:
        row["version"] += 2
        row["order_id"], row["text_length"] = 999, 3
        a_shard.shard.state.order_texts[0][:3] = np.frombuffer(b"new", np.uint8)
        return found(number)

    monkeypatch.setattr(a_view, "_order", taken_over)
    assert a_view.order_by_client_id(1, "old") is None


def test_a_restarted_shards_tables_are_taken_up(a_shard: ShardDesk, a_view: StateView) -> None:
    again = ShardDesk(a_shard.log_dir, a_shard.run_dir)
    again.push(Lane.ADMIN, deposit(cash_e6(5)))
    again.turn_until_quiet()
    found = a_view.account(1)
    assert found is not None
    assert found.cash_e6 == cash_e6(1_000_005)
    assert a_view.state_hash() == StateView.attach(a_shard.run_dir).state_hash()
    assert a_view.seq == again.shard.writer.next_seq - 1


def test_a_shard_that_dies_while_it_publishes_leaves_no_reader_behind(
    a_shard: ShardDesk, a_view: StateView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tables have not got their name: readers see the old ones until a successor's are there."""
    create_state(a_shard.run_dir, CAPACITY)
    with monkeypatch.context() as dying:
        dying.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish_state(a_shard.run_dir)
    assert a_view.account(1) is not None
    successor = ShardDesk(a_shard.log_dir, a_shard.run_dir)
    successor.push(Lane.ADMIN, deposit(1))
    successor.turn_until_quiet()
    found = a_view.account(1)
    assert found is not None
    assert found.cash_e6 == cash_e6(1_000_000) + 1


def test_a_shard_that_dies_after_it_published_leaves_no_reader_behind(
    a_shard: ShardDesk, a_view: StateView
) -> None:
    """Between the new name and whatever comes after it: a reader of the old tables must know by then."""
    rename = Path.rename
    with pytest.MonkeyPatch.context() as dying:

        def rename_and_die(source: Path, target: Path) -> None:
            rename(source, target)
            raise KeyboardInterrupt

        create_state(a_shard.run_dir, CAPACITY)
        dying.setattr(Path, "rename", rename_and_die)
        with pytest.raises(KeyboardInterrupt):
            publish_state(a_shard.run_dir)
    successor = ShardDesk(a_shard.log_dir, a_shard.run_dir)
    successor.push(Lane.ADMIN, deposit(1))
    successor.turn_until_quiet()
    found = a_view.account(1)
    assert found is not None
    assert found.cash_e6 == cash_e6(1_000_000) + 1


def test_a_new_owner_is_seen_when_its_tables_are_whole_and_not_before(
    a_shard: ShardDesk, a_view: StateView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log's epoch rises when that is opened: whoever asks the venue then would ask about half of the orders."""
    before = a_view.epoch
    assert before == a_shard.shard.writer.tail.epoch
    rename = Path.rename
    seen: list[int] = []

    def look_and_rename(source: Path, target: Path) -> Path:
        if target.name == "state":
            seen.append(a_view.epoch)
        return rename(source, target)

    a_shard.shard.writer.close()
    monkeypatch.setattr(Path, "rename", look_and_rename)
    successor = ShardDesk(a_shard.log_dir, a_shard.run_dir)
    assert a_view.epoch == successor.shard.writer.tail.epoch > before
    assert seen == [before]


def test_a_row_that_stays_locked_is_said_to_be(a_shard: ShardDesk, a_view: StateView) -> None:
    a_shard.shard.state.accounts[0]["version"] += 1
    with pytest.raises(StateBusy, match="row 0 of accounts stays locked; is the shard running"):
        a_view.account(1)
    a_shard.shard.state.accounts[0]["version"] += 1
    assert a_view.account(1) is not None


@jit
def hammer(state: State, ticks: Array, stop: Array) -> int:
    """Quotes whose fields are all the same number, as fast as the shard can take them."""
    number = 0
    while load_acquire(stop.ctypes.data) == 0:
        number += 1
        tick = ticks[0]
        tick.bid_e8 = tick.ask_e8 = tick.bid_size_e8 = tick.ask_size_e8 = tick.published_ns = number
        on_tick(state, ticks)
        for _ in range(4):  # a shard never writes one row over and over: without a rest it is always locked
            pause()
    return number


def test_rows_are_never_torn_beside_a_busy_writer(a_shard: ShardDesk, a_view: StateView) -> None:
    """Every quote has the same number in all its fields; so has every one that is read."""
    tick, stop = np.zeros(1, TICK), np.zeros(1, np.int64)
    tick["instrument"], tick["kind"] = 1, TickKind.QUOTE
    seen: set[int] = set()
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(hammer, a_shard.shard.state, tick, stop)
        try:
            while len(seen) < 500 and not writing.done():
                shown = a_view.instrument(1)
                assert shown is not None
                numbers = {
                    shown.bid_e8, shown.ask_e8, shown.bid_size_e8, shown.ask_size_e8, shown.quote_time_ns,
                }  # fmt: skip
                assert len(numbers) == 1
                seen.add(shown.bid_e8)
        finally:
            stop[0] = 1
        assert max(seen) <= writing.result()


def test_no_row_is_seen_before_it_is_whole(a_shard: ShardDesk, a_view: StateView) -> None:
    """Accounts are counted, and found, when their rows stand: the count is what readers go by."""
    a_shard.shard.start()
    a_shard.running = True
    for n in range(2, CAPACITY.accounts + 1):
        a_shard.push(Lane.ADMIN, account(f"TW{n:06}"))
        while len(found := a_view.accounts()) < n:
            assert [a.text for a in found] == [f"TW{i:06}" for i in range(1, n)]
        assert found[-1].max_order_qty_e8 == qty_e8(10_000)


def test_a_run_without_a_shard_and_another_versions_state_are_told_apart(run_dir: Path) -> None:
    with pytest.raises(SegmentMissing, match="is its owner running"):
        StateView.attach(run_dir)
    Segment.create(state_path(run_dir), 8192, "state", 99)
    with pytest.raises(LayoutMismatch, match="version 99"):
        StateView.attach(run_dir)
