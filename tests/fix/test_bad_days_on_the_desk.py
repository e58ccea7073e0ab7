"""A whole desk at an ill-tempered venue: messages late, twice, out of order, garbled, fills told again under a new
number and after a cancel. What the desk has booked is held to the venue's own record."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from actors.view import OrderView, StateView
from core import ids, units
from core.records import OrdStatus, Side
from fix.acceptor import only
from fix.codec import Message
from fix.simulator.exchange import Exchange
from fix.simulator.ill_wire import IllWire
from fix.simulator.market import Quotes
from fix.simulator.orders import Instrument, Order
from fix.simulator.temper import Mischief, Temper, WireTemper
from fix.simulator.venue import Venue
from fix.tags import Tag
from tests.fix.desk import FixDesk
from tests.fix.peers import until
from tests.stack import free_port_base

ORDERS = 240
CASH_E6 = 1_000_000 * 10**6
AUDITS_MAX = 360


class CountingTemper(WireTemper):
    """Notes what it did."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.did: Counter[Mischief] = Counter()

    def next(self) -> Mischief:
        what = super().next()
        self.did[what] += 1
        return what


class BadDay(FixDesk):
    """The venue is the simulator on a bad day, behind a bad wire."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder / "desk", free_port_base())
        self._seed = seed
        self.wire_temper = CountingTemper(seed)
        self.quotes = Quotes()
        tick, lot = units.price_e8("0.01"), units.qty_e8(1)
        self.exchange = Exchange({"AAPL": Instrument(tick, lot)}, self.quotes)
        self._index = 0

    async def start_venue(self) -> None:
        folder = self.folder / "exchange"
        self.street = Venue(
            self.exchange, folder, "SIMULATOR", only({"TRADEWIND"}), temper=Temper(self._seed)
        )
        self._wire = IllWire(self.wire_temper)
        self._street_running = asyncio.create_task(self.street.acceptor.run())
        port = await self.street.acceptor.listen("127.0.0.1", 0)
        await self._wire.listen("127.0.0.1", self.config.ports.venue, port)

    async def stop_venue(self) -> None:
        await self.street.close()
        await self._wire.close()
        self._street_running.cancel()

    def trade(self) -> None:
        """The market moves, so that what rests may fill."""
        self._index += 1
        bid, ask, size = units.price_e8("149.90"), units.price_e8("150"), units.qty_e8(15)
        self.quotes.on_quote("AAPL", bid, ask, size, size, self._index)
        self.street.simulator.publish(self.exchange.moved("AAPL", time.time_ns()))

    def at_the_venue(self, order: OrderView) -> Order | None:
        return self.exchange.registry.find("TRADEWIND", ids.cl_ord_id(0, order.order_id))


def wrong(desk: BadDay) -> list[str]:
    """How the desk's books differ from the venue's record."""
    view = StateView.attach(desk.config.run_dir)
    found, position_e8, cash_e6 = [], 0, CASH_E6
    for order in view.orders(1):
        theirs = desk.at_the_venue(order)
        if theirs is None and order.ord_status != OrdStatus.REJECTED:
            found.append(f"order {order.order_id} is not at the venue")
        cum_e8 = 0 if theirs is None else theirs.cum_qty_e8
        if order.cum_qty_e8 != cum_e8:
            found.append(f"order {order.order_id}: {order.cum_qty_e8} booked, {cum_e8} traded")
        if theirs is not None:
            sign = 1 if theirs.side == Side.BUY else -1
            position_e8 += sign * theirs.cum_qty_e8
            cash_e6 -= sign * theirs.cum_notional_e16 // 10**10
    account, position = view.account(1), view.position(1, 1)
    assert account is not None
    held_e8 = 0 if position is None else position.qty_e8
    if (held_e8, account.cash_e6) != (position_e8, cash_e6):
        found.append(f"held {held_e8} of {position_e8}, cash {account.cash_e6} of {cash_e6}")
    return found


def reports_of(desk: BadDay) -> list[Message]:
    """What the venue has told, as its store has it."""
    session = desk.street.acceptor.session("TRADEWIND")
    assert session is not None
    told = [session.sent(seq) for seq in range(1, session.next_out)]
    return [message for message in told if message is not None and message.type == "8"]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[BadDay]:
    running = BadDay(tmp_path, seed=5)
    async with running:
        yield running


async def test_the_books_are_the_venues_after_a_bad_day(desk: BadDay) -> None:
    rng = Random(4)
    client = desk.client()
    await client.logged_on()
    for number in range(ORDERS):
        price = f"{149.9 + rng.randint(-2, 12) / 100:.2f}"
        client.order(f"O{number}", Side=rng.choice("112"), OrderQty=str(rng.randint(1, 9)), Price=price)
        if number % 3 == 2:
            client.cancel(f"C{number}", f"O{rng.randrange(number)}")
        if number % 4 == 0:
            desk.trade()
        await asyncio.sleep(0.005)
    last = f"O{ORDERS - 1}"
    view = StateView.attach(desk.config.run_dir)
    await until(lambda: view.order_by_client_id(1, last) is not None or ended(client.told, last), 60)
    calm = 0  # looks in a row, a quarter of a second between: nothing is under way any more
    for _ in range(AUDITS_MAX):
        await asyncio.sleep(0.25)
        calm = calm + 1 if not (found := wrong(desk)) else 0
        if calm == 12:
            break
    assert found == []

    told = reports_of(desk)
    fills = Counter(message.get(Tag.ExecID) for message in told if message.get(Tag.ExecType) == "F")
    assert max(fills.values()) > 1, "a fill was told twice, under two numbers"
    # (A message twice under one number is too rare to be sure of: three in a thousand.)
    ills = (Mischief.LATE, Mischief.OUT_OF_ORDER, Mischief.GARBLED)
    assert min(desk.wire_temper.did[what] for what in ills) > 0, "the wire was bad"


def ended(told: list[Message], name: str) -> bool:
    return any(message.get(Tag.ClOrdID) == name for message in told)
