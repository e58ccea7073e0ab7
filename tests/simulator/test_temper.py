"""An ill-tempered venue: what it does, that its books stay right, and that a client comes through it."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

from core.records import OrdStatus
from core.units import price_e8, qty_e8
from fix.acceptor import only
from fix.codec import Framer
from fix.profiles.files import shipped
from fix.simulator.exchange import Exchange
from fix.simulator.ill_wire import IllWire
from fix.simulator.market import Quotes
from fix.simulator.orders import Report
from fix.simulator.temper import Mischief, Temper, WireTemper
from fix.simulator.venue import Venue
from fix.simulator.words import ExecType
from fix.tags import Tag
from fix.venue import validator_of
from tests.simulator.desk import NOW_NS, OWNER, SHARES, reports
from tests.simulator.test_simulator_restart import (
    Desk,
    cancel_request,
    connected,
    new_order,
    until,
)

ORDERS = 400


class IllVenue:
    """The simulator on bad days, on quotes, behind a bad wire."""

    def __init__(self, folder: Path, seed: int = 5) -> None:
        self.quotes = Quotes()
        self.exchange = Exchange(SHARES, self.quotes)
        self.venue = Venue(
            self.exchange, folder, "SIMULATOR", only({OWNER}), clock=lambda: NOW_NS, temper=Temper(seed)
        )
        self.wire = IllWire(WireTemper(seed))
        self.index = 0

    async def start(self) -> int:
        self.running = asyncio.create_task(self.venue.acceptor.run())
        return await self.wire.listen("127.0.0.1", 0, await self.venue.acceptor.listen("127.0.0.1", 0))

    def quote(self) -> None:
        self.index += 1
        self.quotes.on_quote("AAPL", price_e8(100), price_e8("100.02"), qty_e8(20), qty_e8(20), self.index)
        self.venue.simulator.publish(self.exchange.moved("AAPL", NOW_NS))

    async def stop(self) -> None:
        await self.venue.close()
        await self.wire.close()
        self.running.cancel()


def is_all_told(desk: Desk, exchange: Exchange) -> bool:
    """Whether the client's last report of every order says what the exchange has of it."""
    last = {r.order_id: r for r in sorted(reports(desk.answers), key=lambda r: r.number)}
    truth = {
        r.order_id: exchange.registry.find(OWNER, r.orig_cl_ord_id or r.cl_ord_id) for r in last.values()
    }
    orders = [r for r in last.values() if r.exec_type is not ExecType.REJECTED]
    return len(orders) == ORDERS and all(
        order is not None and (r.cum_qty_e8, r.status) == (order.cum_qty_e8, order.status)
        for r in orders
        for order in (truth[r.order_id],)
    )


async def test_a_client_comes_through_a_venue_on_a_bad_day(tmp_path: Path) -> None:
    rng = Random(8)
    ill = IllVenue(tmp_path / "venue")
    port = await ill.start()
    async with connected(tmp_path / "desk", port) as (desk, session):
        for number in range(ORDERS):
            price = f"{100 + rng.randint(-2, 4) / 100:.2f}"
            session.send([new_order(f"O{number}", rng.choice("12"), rng.randint(1, 9), price)])
            if number % 3 == 2:
                session.send([cancel_request(f"C{number}", f"O{rng.randrange(number)}")])
            if number % 5 == 0:
                ill.quote()
            await asyncio.sleep(0.002)
        await until(partial(is_all_told, desk, ill.exchange))
        before = ill.exchange
        await ill.stop()
    told = reports(desk.answers)
    again = IllVenue(tmp_path / "venue")
    assert again.exchange.open_orders(OWNER) == before.open_orders(OWNER)
    assert again.exchange.next_number == before.next_number
    await again.venue.close()
    what_was_ill(desk, told)
    validator = validator_of(shipped("simulator"))
    assert validator is not None
    for message in desk.messages:
        validator.check(message)  # a desk would reject it, and lose what it says


def what_was_ill(desk: Desk, told: list[Report]) -> None:
    """All of it was seen."""
    assert any(r.text == "unsolicited" for r in told)
    after_cancel = [r for r in told if r.exec_type is ExecType.TRADE and r.status is OrdStatus.CANCELED]
    assert after_cancel
    assert max(Counter(r.exec_id for r in told).values()) > 1
    assert [r.number for r in told] != sorted(r.number for r in told)
    assert any(m.get(Tag.PossResend) == "Y" for m in desk.messages)
    assert any(m.poss_dup for m in desk.messages)  # what was garbled was asked for again
    each = {r.exec_id: r for r in told}
    for order_id in {r.order_id for r in told}:
        mine = sorted((r for r in each.values() if r.order_id == order_id), key=lambda r: r.number)
        assert sum(r.last_qty_e8 for r in mine) == mine[-1].cum_qty_e8 <= mine[-1].qty_e8


def test_the_same_seed_is_ill_in_the_same_way() -> None:
    one, same = WireTemper(3), WireTemper(3)
    seen = [one.next() for _ in range(2_000)]
    assert seen == [same.next() for _ in range(2_000)]
    assert set(seen) == set(Mischief)


def test_a_garbled_message_is_found_out() -> None:
    frame = b"8=FIX.4.4\x019=5\x0135=0\x0110=163\x01"
    framer = Framer()
    framer.feed(frame + WireTemper(1).garble(frame))
    assert list(framer) == [frame]
