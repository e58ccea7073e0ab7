"""Passive accounts: out of the hot tables with nothing lost, and back when they are needed."""

from __future__ import annotations

import random
from pathlib import Path

from actors.emit import P_TIME
from actors.idle_accounts import IdleAccounts
from actors.replay import Replica
from actors.shard import Lane
from actors.snapshot import restore, state_hash, take
from actors.tables import R_COLD, R_FREE_POSITIONS, R_POSITIONS, Capacity
from actors.view import StateView
from core import commands
from core.events import Event
from core.records import ExecType
from core.rejects import Reject
from core.units import cash_e6, qty_e8
from tests.actors.desk import (
    ASK_E8,
    BID_E8,
    SEGMENT_BYTES,
    Desk,
    ShardDesk,
    account,
    deposit,
    instrument,
    order,
)


def passivate(desk: Desk, number: int = 1) -> Event:
    return desk.do(commands.passivate(request_id=7, account=number))


def holdings(desk: Desk, instruments: int) -> None:
    """Account 1 buys n of the n-th instrument."""
    for number in range(1, instruments + 1):
        if number > 1:
            desk.do(instrument(f"SYM{number}"))
        bought = desk.buy(number, instrument=number)
        desk.fill(bought.order_id, number)


def test_a_passive_account_keeps_its_positions_and_gives_its_rows_back(a_funded_account: Desk) -> None:
    desk = a_funded_account
    holdings(desk, 3)
    event = passivate(desk)
    assert (event.reject_code, event.account, event.text) == (0, 1, "TW000001")
    assert desk.state.registers[R_FREE_POSITIONS] == 3
    assert [int(n) for n in desk.state.cold["qty_e8"][:3]] == [qty_e8(3), qty_e8(2), qty_e8(1)]
    sold = desk.sell(1, instrument=3)
    assert (sold.reject_code, sold.position_qty_e8) == (0, qty_e8(3))
    assert desk.fill(sold.order_id, 1, BID_E8).position_qty_e8 == qty_e8(2)
    assert desk.state.registers[R_FREE_POSITIONS] == 0
    assert state_hash(desk.replica().state) == desk.hash()


def test_an_account_with_an_open_order_stays_active(a_funded_account: Desk) -> None:
    placed = a_funded_account.buy()
    event = passivate(a_funded_account)
    assert (event.reject_code, event.observed_value) == (Reject.ACCOUNT_NOT_IDLE, 1)
    a_funded_account.report(placed.order_id, ExecType.CANCELED)
    assert passivate(a_funded_account).reject_code == 0
    assert passivate(a_funded_account).reject_code == 0, "it is one already"
    assert passivate(a_funded_account, 9).reject_code == Reject.ACCOUNT_UNKNOWN


def test_a_fill_behind_the_end_of_its_order_finds_a_passive_account(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.CANCELED)
    passivate(desk)
    cash = int(desk.state.accounts[0]["cash_e6"])
    late = desk.fill(placed.order_id, 4)
    assert (late.reject_code, late.position_qty_e8, late.cash_e6) == (0, qty_e8(4), cash - cash_e6(400))


def test_a_cancel_that_comes_too_late_shows_no_position_of_anybody_else(a_funded_account: Desk) -> None:
    desk = a_funded_account
    desk.do(account("TW000002"))
    desk.do(deposit(cash_e6(10_000), account=2))
    placed = desk.buy(5)
    desk.fill(placed.order_id, 5)
    passivate(desk)
    other = desk.buy(3, account=2)
    desk.fill(other.order_id, 3)
    refused = desk.cancel(placed.order_id)
    assert (refused.reject_code, refused.position_qty_e8) == (Reject.ORDER_NOT_OPEN, qty_e8(5))


def test_without_room_the_account_stays_passive_and_its_order_is_rejected(
    tmp_path: Path, run_dir: Path
) -> None:
    desk = Desk(
        tmp_path / "log", run_dir, Capacity(accounts=8, instruments=8, positions=4, orders=64, cold=8)
    )
    desk.open_market()
    holdings(desk, 3)
    desk.do(account("TW000002"))
    desk.do(deposit(cash_e6(100_000), account=2))
    passivate(desk)
    for number in (1, 2, 3):
        desk.fill(desk.buy(1, account=2, instrument=number).order_id, 1)
    refused = desk.sell(1, instrument=1)
    assert (refused.reject_code, refused.limit_value) == (Reject.POSITION_TABLE_FULL, 4)
    assert desk.state.accounts[0]["cold_positions"] == 3
    passivate(desk, 2)
    accepted = desk.sell(1, instrument=1)
    assert (accepted.reject_code, accepted.position_qty_e8) == (0, qty_e8(1))
    assert state_hash(desk.replica().state) == desk.hash()
    desk.close()


def test_a_full_table_of_passive_accounts_refuses_and_changes_nothing(tmp_path: Path, run_dir: Path) -> None:
    desk = Desk(
        tmp_path / "log", run_dir, Capacity(accounts=8, instruments=8, positions=8, orders=64, cold=2)
    )
    desk.open_market()
    holdings(desk, 3)
    refused = passivate(desk)
    assert (refused.reject_code, refused.limit_value) == (Reject.COLD_TABLE_FULL, 2)
    assert desk.sell(3, instrument=3).reject_code == 0
    desk.close()


def test_rows_and_runs_are_used_again(a_funded_account: Desk) -> None:
    desk = a_funded_account
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    dice = random.Random(seed)
    holdings(desk, 5)
    for number in (2, 3):
        desk.do(account(f"TW00000{number}"))
        desk.do(deposit(cash_e6(100_000), account=number))
    for _ in range(200):
        number = dice.randrange(1, 4)
        if dice.random() < 0.5:
            passivate(desk, number)
        else:
            bought = desk.buy(1, account=number, instrument=dice.randrange(1, 6))
            assert bought.reject_code == 0
            desk.fill(bought.order_id, 1)
    assert desk.state.registers[R_POSITIONS] <= 15
    assert desk.state.registers[R_COLD] <= 3 * (1 + 2 + 4 + 8), (
        "a run of each size for each account is the most"
    )
    replica = Replica(desk.capacity, SEGMENT_BYTES)
    restore(take(desk.state), replica.state)
    assert state_hash(replica.state) == desk.hash() == state_hash(desk.replica().state)


def test_other_processes_see_a_passive_accounts_positions(a_shard: ShardDesk) -> None:
    a_view = StateView.attach(a_shard.run_dir)
    a_shard.push(Lane.ORDERS_GATEWAY, order("mine"))
    a_shard.turn_until_quiet()
    (placed,) = a_shard.events()
    report = commands.venue_report(
        venue_seq=1, order_id=placed.order_id, exec_type=ExecType.TRADE, ord_status=0, last_qty_e8=qty_e8(10),
        last_px_e8=ASK_E8,
    )  # fmt: skip
    a_shard.push(Lane.REPORTS_VENUE, report)
    a_shard.turn_until_quiet()
    before = a_view.positions(1)
    a_shard.push(Lane.ADMIN, commands.passivate(request_id=7, account=1))
    a_shard.turn_until_quiet()
    assert a_shard.shard.state.accounts[0]["cold_positions"] == 1
    assert a_view.positions(1) == before == [a_view.position(1, 1)]
    assert before[0].qty_e8 == qty_e8(10)
    assert a_view.position(1, 2) is None


def test_only_who_is_idle_and_has_something_to_give_back_is_asked(a_funded_account: Desk) -> None:
    desk = a_funded_account
    for number in (2, 3):
        desk.do(account(f"TW00000{number}"))
        desk.do(deposit(cash_e6(10_000), account=number))
    desk.fill(desk.buy(1).order_id, 1)
    desk.buy(1, account=2)  # stays open
    now_s = int(desk.out.pen[P_TIME]) // 10**9
    asked: list[bytes] = []

    def push(raw: bytes) -> bool:
        asked.append(raw)
        return True

    def turn(at_s: int) -> list[int]:
        asked.clear()
        looking = IdleAccounts(desk.state, push, idle_after_s=3600, clock=lambda: at_s * 10**9)
        assert looking.turn() == len(asked)
        return [commands.decode(raw)["account"] for raw in asked]

    assert turn(now_s + 3600) == [], "not yet"
    assert turn(now_s + 3601) == [1], "2 has an open order, 3 no position"
    assert desk.do(asked[0]).reject_code == 0
    assert turn(now_s + 9999) == [], "it is passive now"


def test_a_full_lane_is_tried_again_on_the_next_look(a_funded_account: Desk) -> None:
    desk = a_funded_account
    desk.fill(desk.buy(1).order_id, 1)
    later = (int(desk.out.pen[P_TIME]) // 10**9 + 10) * 10**9
    room = [False, True]
    looking = IdleAccounts(desk.state, lambda _: room.pop(0), idle_after_s=1, clock=lambda: later)
    assert [looking.turn(), looking.turn()] == [0, 1]
