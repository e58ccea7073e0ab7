"""kill -9, of one process and of all of them, while orders are open and flowing.

What must hold each time: positions and open orders are what they were; nothing is twice at the venue, in the log,
in the stream, in Postgres or in the mailbox; an order that was acknowledged is there, and one whose sender got no
clear answer is there once or not at all, and can be asked for by its client_order_id.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from actors.view import StateView
from tests.acceptance import audit
from tests.acceptance.audit import Log
from tests.acceptance.conftest import TappedStack
from tests.acceptance.desk import Trader, eventually, flowing, frozen
from tests.acceptance.wire import Relay
from tests.faults.desk import wipe
from tests.stack import Stack

pytestmark = pytest.mark.stack

SYMBOL = "KO"
CENT = Decimal("0.01")
MORE_THAN_ANY_QUOTE_SHOWS = 4_000
LESS_THAN_A_QUOTE_SHOWS = 1_000
# Orders between two blows: enough that each blow falls among orders on their way.
SOME = 25
MANY = 100


class Picture(NamedTuple):
    """What the owner of the account sees."""

    cash: Decimal
    reserved: Decimal
    positions: dict[str, Decimal]
    open_orders: dict[str, tuple[str, str, str, str | None]]


def picture(trader: Trader) -> Picture:
    account = trader.get("/v2/account")
    return Picture(
        Decimal(account["cash"]),
        Decimal(account["reserved"]),
        trader.positions(),
        {
            id: (order["status"], order["qty"], order["filled_qty"], order["filled_avg_price"])
            for id, order in trader.open_orders().items()
        },
    )


@pytest.fixture(scope="module")
def tapped(tapped_stack: TappedStack) -> tuple[Stack, Relay]:
    return tapped_stack()


@pytest.fixture
def stack(tapped: tuple[Stack, Relay]) -> Stack:
    return tapped[0]


@pytest.fixture
def relay(tapped: tuple[Stack, Relay]) -> Relay:
    return tapped[1]


@pytest.fixture(scope="module")
def trader(tapped: tuple[Stack, Relay]) -> Trader:
    """One client and one ledger for the stack's whole life."""
    client = Trader(tapped[0])
    eventually(lambda: all(client.has_quote(s) for s in ("KO", "PFE", "BAC")), "first quotes")
    return client


@contextmanager
def frozen_market(stack: Stack) -> Iterator[None]:
    """No price moves within the block, so that nothing fills by itself."""
    with frozen(stack, "marketdata"):
        yield


def far_order(trader: Trader) -> dict[str, Any]:
    """An order that rests: it buys 3 % below the bid."""
    bid, _ = trader.quote(SYMBOL)
    order = trader.send("buy", SYMBOL, 10, (bid * Decimal("0.97")).quantize(CENT))
    assert order is not None, trader.answers
    return order


def partly_filled(trader: Trader) -> dict[str, Any] | None:
    """An order of which the rest rests, in a market that does not move; None when the market did not have it so."""
    _, ask = trader.quote(SYMBOL)
    order = trader.send("buy", SYMBOL, MORE_THAN_ANY_QUOTE_SHOWS, ask)
    if order is None:
        return None
    accepted = order
    # The frozen market fills what it shows at once, and has no more.
    settled = ("partially_filled", "filled", "rejected")
    eventually(lambda: trader.order(accepted)["status"] in settled, "the venue's fill")
    if trader.order(accepted)["status"] == "partially_filled":
        return accepted
    trader.cancel(accepted)
    return None


def _lots(qty: int) -> Iterator[int]:
    """A quantity in pieces that the market takes at once."""
    for begin in range(0, qty, LESS_THAN_A_QUOTE_SHOWS):
        yield min(LESS_THAN_A_QUOTE_SHOWS, qty - begin)


@contextmanager
def open_orders_of_every_kind(stack: Stack, trader: Trader) -> Iterator[Picture]:
    """A position, orders that rest, one of them partly filled; and nothing that moves them."""
    # What flowed before has spent the cash, the more the longer it flowed.
    for held in trader.get("/v2/positions"):
        for qty in _lots(int(Decimal(held["qty"]))):
            trader.filled("sell", held["symbol"], qty)
    trader.filled("buy", SYMBOL, 100)
    for _ in range(3):
        far_order(trader)
    for _ in range(20):
        with frozen_market(stack):
            if partly_filled(trader) is not None:
                yield picture(trader)
                return
    raise AssertionError("no order could be filled in part")


def finish(stack: Stack, relay: Relay, trader: Trader) -> None:
    """Nothing is open any more, and all books agree."""
    trader.cancel_all()
    audit.assert_everyone_agrees(stack, relay, trader)


def all_acknowledged_is_there(trader: Trader, stack: Stack) -> None:
    audit.assert_the_ledger_is_the_log(trader, Log(stack))


def test_a_killed_shard_comes_back_as_it_was(stack: Stack, relay: Relay, trader: Trader) -> None:
    with open_orders_of_every_kind(stack, trader) as before:
        assert "partially_filled" in {status for status, *_ in before.open_orders.values()}
        assert len(before.open_orders) >= 4
        old = stack.kill("shard")
        stack.wait_for_restart("shard", old)
        eventually(lambda: trader.is_known(next(iter(trader.answers))), "REST on the new shard")
        assert picture(trader) == before
    trader.filled("sell", SYMBOL, 100)
    finish(stack, relay, trader)


def test_orders_sent_while_the_shard_is_away_are_there_once_or_not_at_all(
    stack: Stack, relay: Relay, trader: Trader
) -> None:
    with flowing(trader) as flow:
        for _ in range(3):
            flow.wait_for_orders(SOME)
            old = stack.kill("shard")
            stack.wait_for_restart("shard", old)
    all_acknowledged_is_there(trader, stack)
    finish(stack, relay, trader)


def test_an_order_without_an_answer_is_found_by_its_client_order_id(
    stack: Stack, relay: Relay, trader: Trader
) -> None:
    with frozen(stack, "shard"):
        assert trader.send("buy", SYMBOL, 1) is None
        unanswered = list(trader.answers)[-1]
        assert trader.answers[unanswered] == 503
        old = stack.kill("shard")  # with the order in its ring
    stack.wait_for_restart("shard", old)
    eventually(lambda: trader.is_known(unanswered), "the order that nobody answered")
    finish(stack, relay, trader)


def test_everything_killed_comes_back_as_it_was(stack: Stack, relay: Relay, trader: Trader) -> None:
    with open_orders_of_every_kind(stack, trader) as before:
        view = StateView.attach(stack.run_dir)
        seq, state = view.seq, view.state_hash()
        stack.kill_everything()
    stack.start()
    # The shard says what it came back to, before anything else could happen.
    said = (stack.data_dir / "logs" / "shard.log").read_text()
    recovered = re.findall(r"recovered to seq (\d+): .*; state (\w+)", said)
    assert recovered[-1] == (str(seq), state)
    after = picture(trader)
    for id, order in before.open_orders.items():
        assert trader.order({"id": id})["qty"] == order[1]
        if order[0] == "new":
            assert after.open_orders[id] == order
    trader.filled("sell", SYMBOL, 100)
    finish(stack, relay, trader)


@pytest.mark.faults  # random kills of all of them, the supervisor too, are in each run: faults/test_kills.py
def test_everything_killed_while_orders_flow(stack: Stack, relay: Relay, trader: Trader) -> None:
    with flowing(trader) as flow:
        flow.wait_for_orders(MANY)
        stack.kill_everything()
        stack.start()
        flow.wait_for_orders(SOME)
    all_acknowledged_is_there(trader, stack)
    finish(stack, relay, trader)


def test_trading_goes_on_while_postgres_and_nats_are_away(stack: Stack, relay: Relay, trader: Trader) -> None:
    sent = list(trader.answers)
    with frozen(stack, "postgres", "nats"), flowing(trader) as flow:
        flow.wait_for_orders(MANY)
    unheard = [status for name, status in trader.answers.items() if name not in sent and status in (0, 503)]
    assert unheard == []
    finish(stack, relay, trader)
    said = stack.tradewind("audit")
    assert (said.returncode, said.stdout.splitlines()[-1]) == (0, "they agree")


@pytest.mark.faults  # each store wiped under its follower is in each run: services/test_wiped.py
def test_servers_wiped_while_orders_flow_are_built_again(stack: Stack, relay: Relay, trader: Trader) -> None:
    with flowing(trader) as flow:
        flow.wait_for_orders(SOME)
        wipe(stack, "postgres")
        wipe(stack, "nats")
        flow.wait_for_orders(SOME)
    finish(stack, relay, trader)


# Two in each run, and whoever the dice of faults/test_kills.py name.
IN_EACH_RUN = ("fix", "postgres")
KILLED = ("fix", "postgres", "venue", "gateway", "publisher", "portfolio", "notifications", "nats")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in IN_EACH_RUN else pytest.mark.faults) for n in KILLED]
)
def test_a_process_killed_while_orders_flow_leaves_all_books_in_agreement(
    stack: Stack, relay: Relay, trader: Trader, name: str
) -> None:
    with flowing(trader) as flow:
        flow.wait_for_orders(SOME)
        old = stack.kill(name)
        stack.wait_for_restart(name, old)
        flow.wait_for_orders(SOME)
    finish(stack, relay, trader)


def test_a_reboot_at_gate_synced_loses_nothing_that_was_acknowledged(tapped_stack: TappedStack) -> None:
    stack, relay = tapped_stack(gate="synced")
    trader = Trader(stack)
    eventually(lambda: trader.has_quote(SYMBOL), "a first quote")
    far_order(trader)
    with flowing(trader) as flow:
        flow.wait_for_orders(MANY)
        stack.kill_everything()
        shutil.rmtree(stack.run_dir)
        stack.start()
        flow.wait_for_orders(SOME)
    all_acknowledged_is_there(trader, stack)
    finish(stack, relay, trader)
