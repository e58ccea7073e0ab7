"""Why an order is not taken: each check in one place, with its OrdRejReason (103) and its words."""

from __future__ import annotations

from typing import NamedTuple

from core.units import PRICE_E8_MAX, QTY_E8_MAX, price_text, qty_text
from fix.simulator.orders import Instrument, NewOrder
from fix.simulator.words import IMMEDIATE, LIMITED, STOPS, TAKING, Phase
from fix.tags import OrdRejReason


class Refusal(NamedTuple):
    reason: OrdRejReason
    text: str


def shape(request: NewOrder, instrument: Instrument | None) -> Refusal | None:
    """What is wrong with the order itself."""
    if instrument is None:
        return Refusal(OrdRejReason.UNKNOWN_SYMBOL, f"symbol {request.symbol} is not traded here")
    if not 0 < request.qty_e8 <= QTY_E8_MAX or request.qty_e8 % instrument.lot_e8:
        text = f"OrderQty {qty_text(request.qty_e8)} is not a positive multiple of "
        return Refusal(OrdRejReason.INCORRECT_QUANTITY, text + qty_text(instrument.lot_e8))
    return (
        _price("Price", request.price_e8, request.ord_type in LIMITED, instrument.tick_e8)
        or _price("StopPx", request.stop_px_e8, request.ord_type in STOPS, instrument.tick_e8)
        or _stop(request)
    )


def _price(name: str, value_e8: int, has_one: bool, tick_e8: int) -> Refusal | None:
    if not has_one and value_e8 == 0:
        return None
    if not has_one:
        text = f"{name} {price_text(value_e8)} has no meaning for this OrdType; leave it out"
        return Refusal(OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, text)
    if not 0 < value_e8 < PRICE_E8_MAX or value_e8 % tick_e8:
        text = f"{name} {price_text(value_e8)} is not a positive multiple of {price_text(tick_e8)}"
        return Refusal(OrdRejReason.OTHER, text)
    return None


def _stop(request: NewOrder) -> Refusal | None:
    if request.ord_type in STOPS and request.tif in IMMEDIATE:
        text = "a stop order waits; send TimeInForce (59) 0 (day) or 1 (good till cancel)"
        return Refusal(OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, text)
    return None


def phase(request: NewOrder, now: Phase) -> Refusal | None:
    """What the phase of trading does not take."""
    if now not in TAKING:
        text = f"{request.symbol} is {now.name.lower()}; no new orders are taken"
        return Refusal(OrdRejReason.EXCHANGE_CLOSED, text)
    if now is not Phase.CONTINUOUS and request.tif in IMMEDIATE:
        text = f"{request.symbol} is in {now.name.lower()}: orders are collected, and nothing trades at once"
        return Refusal(OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, text)
    return None
