"""The prices and quantities that an instrument takes: its session, ticks and lots, the collar around the touch, and the
static band around its reference price.

Always holds: the quote is the one in the command, the static prices came by commands. In continuous trading the
collar decides, and the band beside it; before and in an auction there is no touch to trust, and the band stands for
the collar. A market order gets a limit at the bound, on the tick inside it.
"""

from __future__ import annotations

from typing import Any, Final

from actors.tables import State
from core import money, risk
from core.records import InstrumentState, OrdType, Side
from shared_mem.jit import jit

_BUY: Final = int(Side.BUY)
_MARKET: Final = int(OrdType.MARKET)
_LIMIT: Final = int(OrdType.LIMIT)
_OPEN: Final = int(InstrumentState.OPEN)

_NS_PER_MS: Final = 1_000_000


@jit
def quote_age_ms(now_ns: int, quote_time_ns: int) -> int:
    """Rounded up; a quote from the future (the clock was set back) counts as new."""
    return max((now_ns - quote_time_ns + _NS_PER_MS - 1) // _NS_PER_MS, 0)


@jit
def tick_at_e8(state: State, instrument: Any, price_e8: int) -> int:
    """The tick at a price: of the band of its tick table that the price is in; without a table, the instrument's. A
    price below the first band has the first band's."""
    if instrument.tick_table == 0:
        return int(instrument.tick_e8)
    table = int(instrument.tick_table) - 1
    for band in range(int(state.tick_tables[table].bands) - 1, 0, -1):
        if price_e8 >= state.tick_bands[table, band].from_e8:
            return int(state.tick_bands[table, band].tick_e8)
    return int(state.tick_bands[table, 0].tick_e8)


@jit
def route_price_e8(state: State, order: Any, instrument: Any, bound_e8: int) -> int:
    """The limit the venue gets. A market order is a limit order at the bound, on the tick inside it: "market with
    protection", as CME does it; it never bypasses the collar."""
    if order.ord_type != _MARKET:
        return int(order.price_e8)
    tick = tick_at_e8(state, instrument, bound_e8)
    if order.side == _BUY:
        return bound_e8 - bound_e8 % tick
    return bound_e8 + (-bound_e8) % tick


@jit
def check_session(order: Any, instrument: Any) -> tuple[int, int, int]:
    code, limit, value = risk.instrument_state(instrument.state)
    if code == 0:
        code, limit, value = risk.session_accepts(instrument.state, order.ord_type, order.tif)
    return code, limit, value


@jit
def check_tick_and_lot(state: State, order: Any, instrument: Any) -> tuple[int, int, int]:
    tick = tick_at_e8(state, instrument, order.price_e8)
    code, limit, value = risk.tick_and_lot(
        order.ord_type, order.qty_e8, order.price_e8, tick, instrument.lot_e8
    )
    if code == 0 and instrument.lot_table != 0:
        lots = state.lot_tables[instrument.lot_table - 1]
        code, limit, value = risk.round_lot(order.qty_e8, lots.round_lot_e8, lots.odd_lots)
    return code, limit, value


@jit
def check_price(state: State, order: Any, instrument: Any, now_ns: int) -> tuple[int, int, int, int]:
    """Collar and band: (code, limit, value, price for the venue)."""
    buying = order.side == _BUY
    static = int(instrument.static_e8)
    in_continuous = instrument.state == _OPEN
    # Where no band is set the collar's width serves for an auction: a market order needs some bound.
    band = (
        int(instrument.band_bps) if in_continuous or instrument.band_bps != 0 else int(instrument.collar_bps)
    )
    high = money.collar_up_e8(static, band)
    low = money.collar_down_e8(static, band)
    if in_continuous:
        touch = order.ask_e8 if buying else order.bid_e8
        age = quote_age_ms(now_ns, order.quote_time_ns)
        code, limit, value = risk.quote_is_fresh(touch, age, instrument.quote_age_ms_max)
        if code:
            return code, limit, value, 0
        collar = int(instrument.collar_bps)
        bound = money.collar_up_e8(touch, collar) if buying else money.collar_down_e8(touch, collar)
        code, limit, value = risk.price_collar(order.ord_type, order.side, order.price_e8, bound)
        if code:
            return code, limit, value, 0
        if static == 0 or band == 0:
            return 0, 0, 0, route_price_e8(state, order, instrument, bound)
        bound = min(bound, high) if buying else max(bound, low)
    else:
        code, limit, value = risk.reference_is_set(static)
        if code:
            return code, limit, value, 0
        bound = high if buying else low
    price = route_price_e8(state, order, instrument, bound)
    code, limit, value = risk.price_band(price, low, high)
    return code, limit, value, price
