"""The venue's drop copy on a desk of real processes: the shard, the roles `fix`, `fix-door`, `venue` (the simulator)
and `venue-copy`. Normal trading is no break, whoever is killed; each fault on the copy is exactly one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.config import load
from app.roles.venue_copy import SIMULATOR_COPY, source_of
from core import commands
from core.events import Event
from core.records import COMMAND_BYTES, AccountState, BreakKind, EventKind, ExecType, OrdStatus
from fix.codec import Message, encode, parse
from fix.durable import DurableSession
from fix.report_fields import ReportError
from fix.session import Role, SessionConfig
from fix.simulator.words import Fault
from fix.store import Store
from fix.tags import Tag
from fix.venue_copy import VenueCopy, _State, execution_of
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader
from shared_mem.ring import Ring
from tests.actors.desk import ASK_E8
from tests.actors.desk import Desk as ActorsDesk
from tests.fix.desk import Client, FixDesk
from tests.fix.peers import until
from tests.stack import free_port_base

COPY_FOLDER = "copy-TRADEWIND-DC-SIMULATOR"


class CopiedDesk(FixDesk):
    """The desk with the simulator as its venue, and its drop copy taken."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        super().__init__(folder, free_port_base(), settings=settings)
        self.sent = 0

    async def start_venue(self) -> None:
        await asyncio.gather(self.start("venue"), self.start("venue_copy"))

    def breaks(self) -> list[Event]:
        return self.events(EventKind.BREAK)

    def trades(self) -> int:
        return sum(event.exec_type == ExecType.TRADE for event in self.events(EventKind.ORDER))

    async def buy(self, client: Client, orders: int) -> None:
        """So many orders of one share each, at the ask; the market moves between them."""
        for _ in range(orders):
            self.sent += 1
            client.order(f"B{self.sent}", OrderQty="1")
            if self.sent % 20 == 0:
                self.market.quote("AAPL", "149.90", "150.00")
                await asyncio.sleep(0.01)

    def set_active(self, account: int) -> None:
        state = commands.set_account_state(request_id=1, account=account, state=AccountState.ACTIVE)
        self.market._ask(self.market._admin, state)

    async def is_copying(self) -> None:
        """The copy's session has logged on, so that what happens from now on is reconciled."""
        store = self.config.data_dir / "fix" / COPY_FOLDER
        await until(lambda: any(path.stat().st_size > 200 for path in store.glob("*.fix")), 60)


async def test_normal_trading_is_no_break_whoever_is_killed(tmp_path: Path) -> None:
    async with CopiedDesk(tmp_path / "desk", {"drop_copy_grace_ms": 60_000}) as desk:
        client = desk.client()
        await client.logged_on()
        await desk.is_copying()
        for victims in (("venue_copy",), ("venue", "fix", "venue_copy"), ()):
            await desk.buy(client, 100)
            for victim in victims:
                await desk.kill(victim)
            await asyncio.gather(*(desk.start(victim) for victim in victims))
        await until(lambda: desk.trades() == 300, 120)
        assert await is_reconciled(desk), "each execution was told by both sides"
        assert desk.breaks() == []
        account = desk.market.view.account(1)
        assert account is not None
        assert account.state == AccountState.ACTIVE


async def is_reconciled(desk: CopiedDesk) -> bool:
    """Whether nothing waits for its like once everything was told: what the role leaves at its end says so."""
    for _ in range(20):
        await asyncio.sleep(0.5)
        await desk.terminate("venue_copy")
        store = Store(desk.config.data_dir / "fix" / COPY_FOLDER)
        state = msgspec.msgpack.decode(store.state, type=_State)
        store.close()
        logged, copied, _closed, told, totals = msgspec.msgpack.decode(state.reconciler)
        await desk.start("venue_copy")
        if told and not (logged or copied or totals):
            return True
    return False


# What each fault of the simulator's copy is to us.
MEANING = {
    Fault.MISSING: BreakKind.MISSING_AT_VENUE,
    Fault.INVENTED: BreakKind.MISSING_HERE,
    Fault.STRANGER: BreakKind.UNKNOWN_ORDER,
    Fault.ORDER: BreakKind.ORDER,
    Fault.SIDE: BreakKind.SIDE,
    Fault.SYMBOL: BreakKind.SYMBOL,
    Fault.QUANTITY: BreakKind.QUANTITY,
    Fault.PRICE: BreakKind.PRICE,
}


async def test_each_fault_of_the_copy_is_one_break_and_its_account_may_only_reduce(tmp_path: Path) -> None:
    settings = {"drop_copy_grace_ms": 3_000, "venue_copy_faults": tuple(Fault)}
    async with CopiedDesk(tmp_path / "desk", settings) as desk:
        client = desk.client()
        await client.logged_on()
        await desk.is_copying()
        reduced = 0
        async with asyncio.timeout(120):
            while len(desk.breaks()) < len(Fault):
                account = desk.market.view.account(1)
                assert account is not None
                if account.state != AccountState.ACTIVE:
                    assert account.state == AccountState.REDUCING
                    reduced += 1
                    desk.set_active(1)
                if desk.trades() <= 5 * len(Fault):
                    await desk.buy(client, 1)
                await asyncio.sleep(0.05)
        await desk.kill("venue_copy")  # what was raised stands in the log, and is not raised again
        await desk.start("venue_copy")
        await asyncio.sleep(3.5)
        found = desk.breaks()
        assert sorted(event.break_kind for event in found) == sorted(MEANING.values())
        assert {event.break_kind for event in found if event.account == 0} == {BreakKind.UNKNOWN_ORDER}
        assert {event.account for event in found} == {0, 1}
        assert all(event.state == AccountState.REDUCING for event in found if event.account)
        assert reduced >= 1
        by_kind = {event.break_kind: event for event in found}
        price = by_kind[BreakKind.PRICE]
        assert price.observed_value - price.limit_value == 10**6  # a cent
        assert by_kind[BreakKind.MISSING_AT_VENUE].observed_value == 0
        assert by_kind[BreakKind.MISSING_HERE].limit_value == 0


def told(version: str = "FIX.4.4", **changed: str) -> Message:
    """A copy of a fill of order 7, by the names of tags; "" leaves one out."""
    usual = {"MsgType": "8", "MsgSeqNum": "2", "OrderID": "V7", "ClOrdID": "TW000-7", "ExecID": "E1", "ExecType": "F",
             "OrdStatus": "1", "Symbol": "AAPL", "Side": "1", "LastQty": "3", "LastPx": "150.25", "CumQty": "5",
             "LeavesQty": "5", "TransactTime": "20261124-12:00:00.000"}  # fmt: skip
    fields = [(Tag[name], value) for name, value in {**usual, **changed}.items() if value]
    return parse(encode(version, fields))


def test_a_fill_is_read_as_the_venue_tells_it() -> None:
    found = execution_of(told(), shard=0)
    assert found is not None
    assert (found.exec_id, found.order_id, found.side, found.symbol) == ("E1", 7, ord("1"), "AAPL")
    assert (found.last_qty_e8, found.last_px_e8, found.cum_qty_e8) == (3 * 10**8, 15_025_000_000, 5 * 10**8)


@pytest.mark.parametrize(
    ("version", "exec_type", "trans_type", "kind"),
    [
        ("FIX.4.4", "F", "", "F"),
        ("FIX.4.4", "G", "", "G"),
        ("FIX.4.4", "H", "", "H"),
        ("FIX.4.2", "1", "0", "F"),
        ("FIX.4.2", "2", "0", "F"),
        ("FIX.4.2", "2", "1", "H"),
        ("FIX.4.2", "1", "2", "G"),
    ],
)
def test_fills_corrections_and_busts_of_every_version_are_told_apart(
    version: str, exec_type: str, trans_type: str, kind: str
) -> None:
    """FIX 4.2 says in ExecTransType (20) what later versions say in ExecType."""
    found = execution_of(told(version, ExecType=exec_type, ExecTransType=trans_type), shard=0)
    assert found is not None
    assert found.exec_type == ord(kind)


@pytest.mark.parametrize("exec_type", "045689ACDEI")
def test_what_moves_no_money_is_passed_over(exec_type: str) -> None:
    assert execution_of(told(ExecType=exec_type), shard=0) is None


def test_another_shards_orders_are_passed_over_and_strangers_are_not() -> None:
    assert execution_of(told(ClOrdID="TW001-7"), shard=0) is None
    assert execution_of(told(ClOrdID="TW001-7"), shard=1) is not None
    stranger = execution_of(told(ClOrdID="somebody's"), shard=0)
    assert stranger is not None
    assert stranger.order_id == 0
    canceled = execution_of(told(ClOrdID="TW000-C9", OrigClOrdID="TW000-7"), shard=0)
    assert canceled is not None
    assert canceled.order_id == 7


@pytest.mark.parametrize("name", ["LastQty", "LastPx", "CumQty", "Side"])
def test_a_number_that_can_not_be_read_is_named(name: str) -> None:
    with pytest.raises(ReportError) as raised:
        execution_of(told(**{name: "many"}), shard=0)
    assert raised.value.tag == Tag[name]


class Compared:
    """A desk of actors without processes, and the copy of its venue; a grace of 10 ns."""

    def __init__(self, folder: Path, run_dir: Path) -> None:
        self.desk = ActorsDesk(folder / "log", run_dir)
        self.desk.open_market()
        self.ring = Ring.create(run_dir / "breaks", COMMAND_BYTES, 16)
        self.now = 1
        self.copy = VenueCopy(0, self.ring, lambda _: "ACME", grace_ns=10, clock=lambda: self.now)
        config = SessionConfig("US-DC", "THEM", Role.INITIATOR)
        self.session = DurableSession(config, Store(folder / "dc"), self.copy)
        self.copy.on_logon(self.session)

    def read_the_log(self) -> None:
        """To its end, and the grace of all that is in it is over."""
        reader = LogReader(self.desk.log_dir, self.desk.run_dir, Reader.AUDIT)
        while records := reader.read():
            self.copy.take(records)
        reader.close()
        self.now = 1000
        self.copy.tick(self.session, is_at_end=True)


@pytest.fixture
def compared(tmp_path: Path, run_dir: Path) -> Iterator[Compared]:
    found = Compared(tmp_path, run_dir)
    yield found
    found.session.close()
    found.desk.close()


async def test_a_bust_a_correction_and_a_fill_told_twice_agree_with_their_copies(compared: Compared) -> None:
    """A bust has an ExecID of its own, and the log keeps the one that it undoes; a fill is booked once."""
    desk, copy, session = compared.desk, compared.copy, compared.session
    order_id = desk.buy(10).order_id
    reports = [
        ("F", "E1", "", "3"), ("F", "E2", "", "6"), ("F", "E2", "", "6"), ("H", "E3", "E1", "3"),
        ("G", "E4", "E2", "3"),
    ]  # fmt: skip
    for kind, exec_id, ref, cum in reports:
        if kind == "H":  # what a break was about is busted, as the venue and the desk settled it
            desk.break_found(BreakKind.PRICE, order_id=order_id, exec_id=ref)
        amounts = {"qty_e8": 3 * 10**8, "px_e8": ASK_E8} if kind != "H" else {}
        desk.report(
            order_id, ord(kind), exec_id=exec_id, exec_ref_id=ref, text=ref or exec_id,
            cum_qty_e8=int(cum) * 10**8, **amounts,
        )  # fmt: skip
        sizes = {"LastQty": "3", "LastPx": "100"} if kind != "H" else {"LastQty": "", "LastPx": ""}
        message = told(
            ClOrdID=f"TW000-{order_id}", Symbol="ACME", ExecType=kind, ExecID=exec_id, CumQty=cum, TransactTime="",
            **sizes,
        )  # fmt: skip
        assert copy.on_message(session, message) == []
    compared.read_the_log()
    assert compared.ring.pop() is None
    assert copy.on_message(session, told(ClOrdID=f"TW000-{order_id}", ExecType="H", ExecID="E9")) == []
    compared.now = 2000
    copy.tick(session, is_at_end=True)
    raised = compared.ring.pop()
    assert raised is not None
    found = commands.decode(raised)
    assert (found["break_kind"], found["order_id"]) == (BreakKind.MISSING_HERE, order_id)


async def test_a_fill_that_was_booked_by_the_venues_answer_is_told_by_its_copies(compared: Compared) -> None:
    """Its report never came, so it has no ExecID here; the account may go on trading."""
    desk, copy, session = compared.desk, compared.copy, compared.session
    order_id = desk.buy(10).order_id
    desk.ask_venue(order_id)
    desk.standing(order_id, OrdStatus.PARTIALLY_FILLED, 6, ASK_E8)
    for exec_id, cum in (("E2", "6"), ("E1", "3")):
        message = told(
            ClOrdID=f"TW000-{order_id}", Symbol="ACME", ExecType="F", ExecID=exec_id, CumQty=cum, TransactTime="",
            LastQty="3", LastPx="100",
        )  # fmt: skip
        assert copy.on_message(session, message) == []
    compared.read_the_log()
    assert compared.ring.pop() is None


def test_a_copy_is_taken_of_the_own_simulator_and_of_a_venue_whose_session_is_named(tmp_path: Path) -> None:
    assert source_of(load({}, {}, tmp_path)) is SIMULATOR_COPY
    elsewhere: dict[str, str | None] = {"venue_address": "venue.example:9876"}
    assert source_of(load(elsewhere, {}, tmp_path)) is None
    (tmp_path / "copy.toml").write_text('profile = "lmax-like"\nsender = "DESK-DC"\ntarget = "LMAX"\n')
    (tmp_path / "copy.toml").chmod(0o600)
    found = source_of(load({**elsewhere, "drop_copy_file": "copy.toml"}, {}, tmp_path))
    assert found is not None
    assert (found.sender, found.profile) == ("DESK-DC", "lmax-like")
