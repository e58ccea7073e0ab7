"""kill -9 of what stands between the desk and its venue, under load, and a venue that loses its store.

The oracle: at the end every book is the wire's (`tests/acceptance/audit.py`): cash and positions are what the venue's
executions make of them, each booked once, each order sent once. What was asked is on the wire as well.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from tests.acceptance import audit
from tests.acceptance.audit import Log
from tests.acceptance.conftest import TappedStack
from tests.acceptance.desk import Trader, eventually, flowing, frozen
from tests.acceptance.wire import Relay, Wire
from tests.stack import Stack

pytestmark = [pytest.mark.faults, pytest.mark.stack]

SEED = 20261124
KILLS = 12  # of each process
SYMBOL = "KO"
CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def tapped(tapped_stack: TappedStack) -> tuple[Stack, Relay]:
    return tapped_stack()


@pytest.fixture(scope="module")
def trader(tapped: tuple[Stack, Relay]) -> Trader:
    client = Trader(tapped[0])
    eventually(lambda: all(client.has_quote(s) for s in ("KO", "PFE", "BAC")), "first quotes")
    return client


def resting_order(trader: Trader, below: str = "0.97", symbol: str = SYMBOL) -> dict[str, Any]:
    """It buys below the bid, and stays there unless the market comes down."""
    bid, _ = trader.quote(symbol)
    order = trader.send("buy", symbol, 10, (bid * Decimal(below)).quantize(CENT))
    assert order is not None, trader.answers
    eventually(lambda: trader.order(order)["status"] == "new", "the venue's word")
    return order


def unknown_fates(stack: Stack) -> int:
    return int(stack.refresh()["orders_of_unknown_fate"])


def are_filled(trader: Trader, orders: list[dict[str, Any]]) -> bool:
    return all(trader.order(order)["status"] == "filled" for order in orders)


def asked(relay: Relay) -> int:
    """How many orders the venue was asked about, one by one or all of them."""
    kinds = Counter(m[35] for m in Wire(relay).sent)
    return kinds["H"] + kinds["AF"]


@pytest.mark.parametrize("name", ["fix", "venue", "shard", "everything"])
def test_the_books_are_the_wires_however_often_it_is_killed(
    tapped: tuple[Stack, Relay], trader: Trader, name: str
) -> None:
    stack, relay = tapped
    rng = random.Random(f"{SEED} {name}")
    before = asked(relay)
    open_orders = [resting_order(trader) for _ in range(3)]
    with flowing(trader) as flow:
        for _ in range(KILLS if name != "everything" else 3):
            flow.wait_for_orders(rng.randint(1, 40))
            time.sleep(rng.random() / 10)
            if name == "everything":
                stack.kill_everything()
                stack.start()
            else:
                old = stack.kill(name)
                stack.wait_for_restart(name, old)
    shown = {trader.order(order)["status"] for order in open_orders}
    assert shown <= {"new", "partially_filled", "filled"}
    trader.cancel_all()
    assert unknown_fates(stack) == 0
    assert name == "venue" or asked(relay) > before
    audit.assert_everyone_agrees(stack, relay, trader)


def test_what_the_venue_filled_while_the_router_was_away_is_booked_once(
    tapped: tuple[Stack, Relay], trader: Trader
) -> None:
    stack, relay = tapped
    for _ in range(3):
        with frozen(stack, "fix"):
            sent = [trader.send("buy", symbol, 5) for symbol in ("KO", "PFE", "BAC")]
            old = stack.kill("fix")
        stack.wait_for_restart("fix", old)
        orders = [order for order in sent if order is not None]
        assert len(orders) == len(sent), trader.answers
        eventually(partial(are_filled, trader, orders), "the fills")
    trader.cancel_all()
    audit.assert_everyone_agrees(stack, relay, trader)


def test_a_venue_that_lost_its_store_leaves_open_orders_in_doubt_until_a_person_resolves_them(
    tapped_stack: TappedStack,
) -> None:
    stack, relay = tapped_stack()
    trader = Trader(stack)
    eventually(lambda: trader.has_quote(SYMBOL), "a first quote")
    trader.filled("buy", SYMBOL, 20)
    open_orders = [resting_order(trader) for _ in range(4)]
    cash = trader.cash()
    with frozen(stack, "venue"):
        shutil.rmtree(stack.data_dir / "venue")
        old = stack.kill("venue")
    stack.wait_for_restart("venue", old)
    eventually(
        lambda: unknown_fates(stack) == len(open_orders), "the venue's word that it knows none of them"
    )
    for order in open_orders:
        shown = trader.order(order)
        assert (shown["status"], shown["fate"]) == ("new", "unknown")
    assert Decimal(trader.get("/v2/account")["reserved"]) > 0
    numbers = [e.order_id for e in Log(stack).order_events if e.order_id]
    doubtful = sorted(set(numbers))[-len(open_orders) :]
    price = Decimal(open_orders[0]["limit_price"])
    refused = stack.tradewind("admin", "resolve", str(doubtful[0]), "filled", "99@1", "--because", "a slip")
    assert refused.returncode == 1
    assert "can't have been filled" in refused.stdout
    words = ["filled", f"10@{price}", "--because", "the venue's mail of 10:00"]
    assert stack.tradewind("admin", "resolve", str(doubtful[0]), *words).returncode == 0
    for number in doubtful[1:]:
        words = ["canceled", "--because", "the venue has no book of yesterday"]
        assert stack.tradewind("admin", "resolve", str(number), *words).returncode == 0
    eventually(lambda: unknown_fates(stack) == 0, "no doubt")
    assert trader.order(open_orders[0])["status"] == "filled"
    assert [trader.order(order)["status"] for order in open_orders[1:]] == ["canceled"] * 3
    assert Decimal(trader.get("/v2/account")["reserved"]) == 0
    assert trader.cash() == cash - 10 * price
    trader.filled("sell", SYMBOL, 30)
    sent = Counter(m[11] for m in Wire(relay).new_orders if m.get(43) != "Y")
    assert set(sent.values()) == {1}, "no order was sent again"
