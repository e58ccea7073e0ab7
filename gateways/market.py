"""The market over REST: what is traded, the clock, the latest quote and trade, and where prices come from."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from actors.view import InstrumentView
from gateways.account_wire import ASSET_CLASS, EXCHANGE, Asset, asset_shape
from gateways.auth import AccountRequest
from gateways.desk import Desk
from gateways.errors import UNPROCESSABLE, ApiError
from gateways.quote_wire import latest_quote, latest_trade
from gateways.times import time_text

# Symbols in one request for latest prices: more than any page shows, and less than a list that would hold the
# loop for a millisecond.
SYMBOLS_MAX: Final = 500

# The simulated market has no close; Alpaca's shape wants one, so it stands a day ahead, always.
DAY_NS: Final = 86_400 * 1_000_000_000


class Clock(msgspec.Struct, frozen=True):
    """GET /v2/clock: a simulated market that never closes."""

    timestamp: str
    is_open: bool
    next_open: str
    next_close: str
    source: str


class PriceSource(msgspec.Struct, frozen=True):
    """GET /v1/source: one line that says where every price here comes from."""

    label: str


@get("/clock", tags=["market"])
async def get_clock(desk: NamedDependency[Desk]) -> Clock:
    """Always open: the venue is simulated. Both next times stand one day ahead."""
    now_ns = time.time_ns()
    ahead = time_text(now_ns + DAY_NS)
    return Clock(time_text(now_ns), True, ahead, ahead, f"simulated, always open; prices: {desk.source}")


@get("/v1/source", tags=["market"])
async def get_source(desk: NamedDependency[Desk]) -> PriceSource:
    return PriceSource(desk.source)


class Assets(Controller):
    path = "/assets"
    tags = ("market",)

    @get()
    async def list_assets(
        self,
        desk: NamedDependency[Desk],
        status: FromQuery[str | None] = None,
        asset_class: FromQuery[str | None] = None,
        exchange: FromQuery[str | None] = None,
        attributes: FromQuery[str | None] = None,
    ) -> list[Asset]:
        """What is traded here. Asking for another status, class, exchange or attribute than ours finds
        nothing."""
        elsewhere = exchange not in (None, EXCHANGE) or attributes is not None
        if status not in (None, "active") or asset_class not in (None, ASSET_CLASS) or elsewhere:
            return []
        return [
            _asset(desk, instrument)
            for instrument in sorted(desk.view.instruments(), key=lambda instrument: instrument.symbol)
        ]

    @get("/{symbol_or_id:str}")
    async def one_asset(self, desk: NamedDependency[Desk], symbol_or_id: FromPath[str]) -> Asset:
        return _asset(desk, desk.instrument_by(symbol_or_id))


def _asset(desk: Desk, instrument: InstrumentView) -> Asset:
    name = desk.names.get(instrument.symbol, instrument.symbol)
    return asset_shape(desk.shard, instrument, name, desk.source)


def _latest(
    desk: Desk, symbols: str, feed: str | None, body: Callable[[InstrumentView], dict[str, Any] | None]
) -> dict[str, Any]:
    if feed not in (None, "iex"):
        raise ApiError(UNPROCESSABLE, f"feed '{feed[:40]}' is not served; leave it out, or send 'iex'")
    names = symbols.split(",")
    if len(names) > SYMBOLS_MAX:
        raise ApiError(UNPROCESSABLE, f"{len(names)} symbols in one request; the most is {SYMBOLS_MAX}")
    bodies = {name: body(desk.instrument(name)) for name in names}
    return {name: found for name, found in bodies.items() if found is not None}


class Latest(Controller):
    path = "/stocks"
    tags = ("market",)

    @get("/quotes/latest")
    async def quotes(
        self,
        request: AccountRequest,
        desk: NamedDependency[Desk],
        symbols: FromQuery[str],
        feed: FromQuery[str | None] = None,
    ) -> dict[str, Any]:
        """The last quote of each symbol (comma-separated); a symbol without one is left out."""
        return {"quotes": _latest(desk, symbols, feed, latest_quote)}

    @get("/trades/latest")
    async def trades(
        self,
        request: AccountRequest,
        desk: NamedDependency[Desk],
        symbols: FromQuery[str],
        feed: FromQuery[str | None] = None,
    ) -> dict[str, Any]:
        """The last trade of each symbol (comma-separated); a symbol without one is left out."""
        return {"trades": _latest(desk, symbols, feed, latest_trade)}
