"""Someone who trades over REST and keeps a ledger of what was asked and what was answered."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from decimal import Decimal
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from tests.stack import Stack

T = TypeVar("T")

WAIT_S = 90.0  # this test shares two cores with whatever else is tested
NO_ANSWER = 0  # in the ledger: the connection broke before one came
AWAY_S = 0.2  # before a client whose connection broke tries the next


def eventually(look: Callable[[], T], what: str = "it") -> T:
    """What `look` returns once that is true. Raises AssertionError when it never is."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen; last seen: {look()!r}")


class Trader:
    """One client of a stack. `answers`: the HTTP status by client_order_id, NO_ANSWER where there was none."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.answers: dict[str, int] = {}
        self._name = uuid4().hex[:8]
        self._numbers = count(1)
        self._client = httpx.Client(base_url=stack.rest, headers=stack.headers, timeout=30)

    def get(self, path: str, **query: str) -> Any:
        answer = self._client.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    def quote(self, symbol: str) -> tuple[Decimal, Decimal]:
        """(bid, ask)"""
        shown = self.get("/v2/stocks/quotes/latest", symbols=symbol)["quotes"][symbol]
        return Decimal(str(shown["bp"])), Decimal(str(shown["ap"]))

    def has_quote(self, symbol: str) -> bool:
        quotes = self.get("/v2/stocks/quotes/latest", symbols=symbol)["quotes"]
        return symbol in quotes and quotes[symbol]["bp"] > 0

    def send(
        self, side: str, symbol: str, qty: int, limit: Decimal | None = None, tif: str = "day"
    ) -> dict[str, Any] | None:
        """The order as accepted; None for any other answer, which is in the ledger."""
        name = f"{self._name}-{next(self._numbers)}"
        order = {
            "symbol": symbol,
            "qty": str(qty),
            "side": side,
            "type": "market" if limit is None else "limit",
            "time_in_force": tif,
            "client_order_id": name,
        }
        if limit is not None:
            order["limit_price"] = str(limit)
        try:
            answer = self._client.post("/v2/orders", json=order)
        except httpx.TransportError:
            self.answers[name] = NO_ANSWER
            time.sleep(AWAY_S)
            return None
        self.answers[name] = answer.status_code
        if answer.status_code != 200:
            body = answer.json()
            assert set(body) == {"code", "message"}, body
            return None
        accepted: dict[str, Any] = answer.json()
        assert accepted["client_order_id"] == name
        return accepted

    def cancel(self, order: dict[str, Any]) -> int:
        try:
            return self._client.delete(f"/v2/orders/{order['id']}").status_code
        except httpx.TransportError:
            return NO_ANSWER

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v2/orders/{order['id']}")
        return found

    def open_orders(self) -> dict[str, dict[str, Any]]:
        """By id."""
        return {order["id"]: order for order in self.get("/v2/orders", status="open", limit="500")}

    def is_known(self, client_order_id: str) -> bool:
        query = {"client_order_id": client_order_id}
        status = self._client.get("/v2/orders:by_client_order_id", params=query).status_code
        assert status in (200, 404)
        return status == 200

    def positions(self) -> dict[str, Decimal]:
        return {p["symbol"]: Decimal(p["qty"]) for p in self.get("/v2/positions")}

    def cash(self) -> Decimal:
        return Decimal(self.get("/v2/account")["cash"])

    def cancel_all(self) -> None:
        """Until no order is open."""

        def is_done() -> bool:
            open_orders = self.open_orders().values()
            for order in open_orders:
                if order["status"] != "pending_cancel":
                    self.cancel(order)
            return not open_orders

        eventually(is_done, "the cancel of every open order")

    def filled(self, side: str, symbol: str, qty: int) -> dict[str, Any]:
        """A market order that is filled."""
        order = self.send(side, symbol, qty)
        assert order is not None, self.answers
        accepted = order
        eventually(lambda: self.order(accepted)["status"] == "filled", f"the fill of {accepted['id']}")
        return self.order(accepted)


@contextmanager
def frozen(stack: Stack, *names: str) -> Iterator[None]:
    """These processes stand still within the block; they may be killed there."""
    found = stack.processes()
    groups = [int(found[name]["pid"]) for name in names]
    for group in groups:
        os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGCONT)


class OrderFlow:
    """Orders one after another from each of a few hands, whatever happens to the processes that serve them."""

    PAUSE_S = 0.01
    HANDS = 3
    SYMBOLS = ("KO", "PFE", "BAC")

    def __init__(self, trader: Trader) -> None:
        self._trader = trader
        self._already = self._answered()

    def _answered(self) -> int:
        return sum(status != NO_ANSWER for status in list(self._trader.answers.values()))

    def hand(self, seed: int, stopped: threading.Event) -> None:
        rng = random.Random(seed)
        while not stopped.wait(self.PAUSE_S):
            self._one(rng)

    def _one(self, rng: random.Random) -> None:
        trader = self._trader
        symbol = rng.choice(self.SYMBOLS)
        kind = rng.random()
        if kind < 0.5:
            trader.send(rng.choice(("buy", "buy", "sell")), symbol, rng.randint(1, 20))
            return
        try:
            bid, ask = trader.quote(symbol)
        except (httpx.HTTPError, KeyError):
            return
        if kind < 0.8:
            trader.send("buy", symbol, rng.randint(1, 50), ask, rng.choice(("day", "ioc")))
            return
        order = trader.send("buy", symbol, 1, (bid * Decimal("0.97")).quantize(Decimal("0.01")))
        if order is not None and rng.random() < 0.5:
            trader.cancel(order)

    def wait_for_orders(self, most: int) -> None:
        """Until so many more were answered than at the last call."""
        eventually(lambda: self._answered() >= self._already + most, f"the answers to {most} orders")
        self._already = self._answered()


@contextmanager
def flowing(trader: Trader) -> Iterator[OrderFlow]:
    """Orders flow for as long as the block runs. What goes wrong in a hand is raised at its end."""
    flow, stopped = OrderFlow(trader), threading.Event()
    with ThreadPoolExecutor(flow.HANDS) as threads:
        hands = [threads.submit(flow.hand, seed, stopped) for seed in range(flow.HANDS)]
        try:
            yield flow
        finally:
            stopped.set()
        for hand in hands:
            hand.result()
