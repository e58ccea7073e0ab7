"""A seeded flow: other participants, invented, whose orders come to the exchange like any member's.

They quote around a reference price, take now and then, change and cancel. The same seed and the same
references give the same orders; nothing here is recorded, and a restart begins another flow.

Always holds: prices are on the tick and above zero, sizes whole lots; at most ORDERS_MAX orders of the flow are
thought to be open in an instrument, the oldest are canceled for new ones.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final

from core.records import Side
from fix.simulator.exchange import Exchange
from fix.simulator.orders import Answer, CancelRequest, Instrument, NewOrder, ReplaceRequest
from fix.simulator.words import OrdType, TimeInForce

FLOW: Final = "_FLOW"  # no CompID: nobody can log on as it
# Enough for a book of some levels with a few orders each.
ORDERS_MAX: Final = 60
LEVELS: Final = 8  # ticks from the reference within which it quotes
LOTS_MAX: Final = 300

Request = NewOrder | CancelRequest | ReplaceRequest


def ask(exchange: Exchange, request: Request, now_ns: int) -> list[Answer]:
    """Does what a participant asks, and forgets the names that will not come again: there is no end to them."""
    registry = exchange.registry
    if isinstance(request, CancelRequest):
        answers = exchange.cancel(request, now_ns)
        registry.forget(FLOW, request.orig_cl_ord_id)
        registry.forget(FLOW, request.cl_ord_id)
    elif isinstance(request, ReplaceRequest):
        answers = exchange.replace(request, now_ns)
        registry.forget(FLOW, request.orig_cl_ord_id)
    else:
        answers = exchange.new_order(request, now_ns)
        if request.tif is TimeInForce.IOC:
            registry.forget(FLOW, request.cl_ord_id)
    return answers


class Flow:
    """The flow of every instrument. `run` makes the ids of two flows different."""

    def __init__(self, instruments: dict[str, Instrument], seed: int, run: int) -> None:
        self._instruments = instruments
        self._rng = Random(seed)
        self._run = run
        self._count = 0
        self._sent: dict[str, deque[NewOrder]] = {symbol: deque() for symbol in instruments}

    def step(self, symbol: str, reference_e8: int) -> list[Request]:
        """What the participants ask for next, the market being at `reference_e8`."""
        if reference_e8 <= 0:
            return []
        draw = self._rng.random()
        sent = self._sent[symbol]
        if sent and draw < 0.10:
            return [self._cancel(sent)]
        if sent and draw < 0.18:
            return [self._replace(symbol, sent, reference_e8)]
        if draw < 0.30:
            return [self._take(symbol, reference_e8)]
        order = self._quote(symbol, reference_e8)
        sent.append(order)
        return [order] if len(sent) <= ORDERS_MAX else [self._cancel(sent, oldest=True), order]

    def _name(self) -> str:
        self._count += 1
        return f"{self._run}-{self._count}"

    def _quote(self, symbol: str, reference_e8: int) -> NewOrder:
        side = self._rng.choice((Side.BUY, Side.SELL))
        away = self._rng.randint(1, LEVELS)
        return self._order(symbol, side, reference_e8, -away if side is Side.BUY else away, TimeInForce.DAY)

    def _take(self, symbol: str, reference_e8: int) -> NewOrder:
        side = self._rng.choice((Side.BUY, Side.SELL))
        through = self._rng.randint(0, 2)
        return self._order(
            symbol, side, reference_e8, through if side is Side.BUY else -through, TimeInForce.IOC
        )

    def _order(self, symbol: str, side: Side, reference_e8: int, ticks: int, tif: TimeInForce) -> NewOrder:
        tick_e8, lot_e8 = self._instruments[symbol]
        price_e8 = max(tick_e8, reference_e8 - reference_e8 % tick_e8 + ticks * tick_e8)
        qty_e8 = self._rng.randint(1, LOTS_MAX) * lot_e8
        return NewOrder(FLOW, self._name(), symbol, side, tif, qty_e8, price_e8, OrdType.LIMIT)

    def _cancel(self, sent: deque[NewOrder], *, oldest: bool = False) -> CancelRequest:
        at = 0 if oldest else self._rng.randrange(len(sent))
        order = sent[at]
        del sent[at]
        return CancelRequest(FLOW, self._name(), order.cl_ord_id)

    def _replace(self, symbol: str, sent: deque[NewOrder], reference_e8: int) -> ReplaceRequest:
        at = self._rng.randrange(len(sent))
        old = sent[at]
        away = self._rng.randint(1, LEVELS)
        wanted = self._order(
            symbol, old.side, reference_e8, -away if old.side is Side.BUY else away, TimeInForce.DAY
        )
        sent[at] = wanted
        return ReplaceRequest(wanted, old.cl_ord_id)
