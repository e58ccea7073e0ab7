"""Instruments that the market data has, as they are defined in the shard: for the default replay and a
recording.

Always holds: making the list reads the head of a file and no more, so that start-up never waits for the data.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from core.units import QTY_SCALE, price_e8
from marketdata import closes
from marketdata.bridge import SOURCE_LABEL, TICK_E8
from marketdata.recorded import RECORDING_LABEL
from marketdata.recording import open_recording
from marketdata.replay import QUOTE_REFRESH_NS

# A quote that stands is published again each second; five of those missing is a feed that has stopped.
QUOTE_AGE_MS_MAX: Final = 5 * QUOTE_REFRESH_NS // 1_000_000

# The clearly-erroneous band for a share of 25.00 to 50.00 (FINRA rule 11892).
SHARE_COLLAR_BPS: Final = 500
SHARE_ORDER_QTY_MAX: Final = 100_000
# CME's price limit for equity index futures outside US hours is 7%; a desk wants to hear of it earlier.
FUTURE_COLLAR_BPS: Final = 300
FUTURE_ORDER_QTY_MAX: Final = 1_000

NAMES: Final = {
    "AAPL": "Apple Inc.",
    "AMD": "Advanced Micro Devices, Inc.",
    "BAC": "Bank of America Corporation",
    "BBY": "Best Buy Co., Inc.",
    "CVX": "Chevron Corporation",
    "GE": "General Electric Company",
    "HD": "The Home Depot, Inc.",
    "JNJ": "Johnson & Johnson",
    "JPM": "JPMorgan Chase & Co.",
    "KO": "The Coca-Cola Company",
    "LLY": "Eli Lilly and Company",
    "MRK": "Merck & Co., Inc.",
    "MSFT": "Microsoft Corporation",
    "PEP": "PepsiCo, Inc.",
    "PFE": "Pfizer Inc.",
    "PG": "The Procter & Gamble Company",
    "RRC": "Range Resources Corporation",
    "UNH": "UnitedHealth Group Incorporated",
    "WMT": "Walmart Inc.",
    "XOM": "Exxon Mobil Corporation",
}

# A market-by-order file names its instruments and not their ticks. Roots of CME's futures: name and tick.
FUTURES: Final = {
    "ES": ("E-mini S&P 500", price_e8("0.25")),
    "MES": ("Micro E-mini S&P 500", price_e8("0.25")),
    "NQ": ("E-mini Nasdaq-100", price_e8("0.25")),
    "MNQ": ("Micro E-mini Nasdaq-100", price_e8("0.25")),
    "RTY": ("E-mini Russell 2000", price_e8("0.1")),
    "YM": ("E-mini Dow", price_e8("1")),
    "CL": ("Crude Oil", price_e8("0.01")),
    "GC": ("Gold", price_e8("0.1")),
}
_FUTURE: Final = re.compile(r"([A-Z0-9]{2,3})([FGHJKMNQUVXZ])(\d{1,2})")
_MONTHS: Final = {
    "F": "Jan", "G": "Feb", "H": "Mar", "J": "Apr", "K": "May", "M": "Jun",
    "N": "Jul", "Q": "Aug", "U": "Sep", "V": "Oct", "X": "Nov", "Z": "Dec",
}  # fmt: skip


class InstrumentUnknown(ValueError):
    """A symbol whose tick is not known here. The text says where to add it."""


class InstrumentDefinition(msgspec.Struct, frozen=True):
    """What the shard is told of an instrument, and what a person is told: its name and where its prices are
    from."""

    symbol: str
    name: str
    tick_e8: int
    lot_e8: int
    max_order_qty_e8: int
    collar_bps: int
    quote_age_ms_max: int
    label: str


def definitions(replay: Path | None) -> list[InstrumentDefinition]:
    """The instruments of the default replay (None), or of a recording.

    Raises ClosesMissing, RecordingError, or InstrumentUnknown.
    """
    if replay is None:
        return [_share(symbol) for symbol in closes.symbols()]
    recording = open_recording(replay)
    return [_future(symbol, recording.start.year) for symbol in sorted(recording.symbols.values())]


def _share(symbol: str) -> InstrumentDefinition:
    return InstrumentDefinition(
        symbol=symbol,
        name=NAMES.get(symbol, symbol),
        tick_e8=TICK_E8,
        lot_e8=QTY_SCALE,
        max_order_qty_e8=SHARE_ORDER_QTY_MAX * QTY_SCALE,
        collar_bps=SHARE_COLLAR_BPS,
        quote_age_ms_max=QUOTE_AGE_MS_MAX,
        label=SOURCE_LABEL,
    )


def _future(symbol: str, year: int) -> InstrumentDefinition:
    parts = _FUTURE.fullmatch(symbol)
    if parts is None or parts[1] not in FUTURES:
        raise InstrumentUnknown(
            f"the tick of {symbol} is not known, and a recording does not tell it; add the product "
            f"to FUTURES in marketdata/instruments.py (known are {', '.join(FUTURES)})"
        )
    name, tick_e8 = FUTURES[parts[1]]
    # The symbol has the last digit of the year: the next such year, seen from the recording.
    expiry = year + (int(parts[3]) - year) % 10 ** len(parts[3])
    return InstrumentDefinition(
        symbol=symbol,
        name=f"{name} {_MONTHS[parts[2]]} {expiry}",
        tick_e8=tick_e8,
        lot_e8=QTY_SCALE,
        max_order_qty_e8=FUTURE_ORDER_QTY_MAX * QTY_SCALE,
        collar_bps=FUTURE_COLLAR_BPS,
        quote_age_ms_max=QUOTE_AGE_MS_MAX,
        label=RECORDING_LABEL,
    )
