"""Bridge: simulated quotes and trades of a day, between two real daily closes.

Between the closes of two consecutive days the price walks a bridge: an integer path in ticks that begins at
the first close and ends at the second. It is drawn by halving: the middle of a stretch is its straight-line
value, moved by a random integer whose spread is that of a Brownian bridge there (variance s^2 * left * right
/ length), and then each half the same. Each point of the path is the price of the last trade; the quote
stands around it with that price on one side, bid or ask.

Always holds: every path ends in a trade at the real close, rounded half up to the tick; every quote has bid >
0, a positive spread and whole round lots; all of it is a function of (seed, closes, step number): integers
only, no clock, no float. A step number says where in the window a tick is, so that a restarted replay can go
on where the clock says.

The window of days loops, and the market is open at whatever hour. From the last day back to the first the
price jumps: nothing is invented between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from math import isqrt
from random import Random
from typing import Final

from core.units import PRICE_SCALE, QTY_SCALE
from marketdata.closes import ADJUSTMENT, Closes
from marketdata.records import Tick
from marketdata.source import NS, Description, Step, quote, trade

SOURCE_LABEL: Final = "Simulated intraday data between real daily closes"

TICK_E8: Final = PRICE_SCALE // 100  # a cent, the tick of US shares over a dollar
SEED: Final = 1  # of the default replay: everyone who starts it sees the same days
ROUND_LOT: Final = 100  # shares; quotes and trades are in these

WINDOW_DAYS: Final = 250  # about a year of trading
DAY_SECONDS: Final = 60  # one simulated day takes this long at speed 1
STEPS_PER_DAY: Final = (
    300  # five quotes a second for each instrument at speed 1: a hundred in all, laptop-friendly
)

# A path is a day's prices in ticks: one more than its steps. 1% a day is a calm share's.
DAY_DEVIATION_BPS: Final = 100
FLOOR_TICKS: Final = 2  # the lowest trade: with the least spread below it, the bid is still a tick
SPREAD_STEP_TICKS: Final = 5000  # the spread may be one tick wider for each 50.00 of price
QUOTE_LOTS_MAX: Final = 20
TRADE_EVERY: Final = 3  # a trade prints at one step in three, and at each close

_SESSION_OPEN: Final = time(
    14, 30, tzinfo=UTC
)  # 09:30 in New York in winter: the hours that ticks are stamped with
_SESSION_NS: Final = 6 * 3600 * NS + 1800 * NS


class BridgeError(ValueError):
    """Closes that can't be bridged. The text says which."""


def close_ticks(close_e8: int) -> int:
    """A close in ticks, rounded half up: the data has a tenth of a cent, a price on the market has not."""
    return (2 * close_e8 + TICK_E8) // (2 * TICK_E8)


def _below(rng: Random, limit: int) -> int:
    # Of the generator's raw bits, which no version of Python draws in another way.
    return rng.getrandbits(32) % limit


def path(first: int, last: int, steps: int, rng: Random) -> list[int]:
    """`steps` + 1 prices in ticks, from `first` to `last` exactly, none below FLOOR_TICKS.

    Raises BridgeError when an end is below FLOOR_TICKS or there is no step.
    """
    if steps < 1 or min(first, last) < FLOOR_TICKS:
        raise BridgeError(
            f"no path of {steps} steps from {first} to {last} ticks; the lowest is {FLOOR_TICKS}"
        )
    prices = [first] * steps + [last]
    deviation = first * DAY_DEVIATION_BPS
    stretches = [(0, steps)]
    while stretches:
        low, high = stretches.pop()
        if high - low < 2:
            continue
        middle = (low + high) // 2
        left, right, length = middle - low, high - middle, high - low
        straight = prices[low] + (prices[high] - prices[low]) * left // length
        # An even draw from -w..w has variance w^2 / 3.
        reach = isqrt(3 * deviation * deviation * left * right // (steps * length * 10_000**2))
        prices[middle] = max(FLOOR_TICKS, straight + _below(rng, 2 * reach + 1) - reach)
        stretches += [(middle, high), (low, middle)]
    return prices


class Bridge:
    """The source of simulated ticks. `closes` needs one day more than are walked: the first is where it
    begins."""

    def __init__(
        self,
        closes: Closes,
        *,
        seed: int,
        day_seconds: int = DAY_SECONDS,
        steps_per_day: int = STEPS_PER_DAY,
    ) -> None:
        if len(closes.dates) < 2:
            raise BridgeError(f"{len(closes.dates)} day of closes; a bridge needs two")
        self._symbols = tuple(closes.prices_e8)
        self._ticks = {s: [close_ticks(c) for c in closes.prices_e8[s]] for s in self._symbols}
        for symbol, prices in self._ticks.items():
            if min(prices) < FLOOR_TICKS:
                raise BridgeError(
                    f"a close of {symbol} is {min(prices)} ticks; the lowest that is bridged is {FLOOR_TICKS}"
                )
        self._dates = closes.dates
        self._seed = seed
        self._steps_per_day = steps_per_day
        self._step_ns = day_seconds * NS // steps_per_day
        self._start_step = 0

    @property
    def length(self) -> int:
        """Steps in a pass: what `start_step` counts."""
        return (len(self._dates) - 1) * self._steps_per_day

    @property
    def step_ns(self) -> int:
        return self._step_ns

    def starting_at(self, step: int) -> None:
        """Let the next pass begin at this step of the window; the one after it begins at 0."""
        self._start_step = step % self.length

    def describe(self) -> Description:
        first, last = self._dates[1], self._dates[-1]
        text = (
            f"Daily closes of {len(self._symbols)} US shares, {first} to {last}, are real ({ADJUSTMENT}, "
            f"rounded to the cent). All quotes and trades between two are simulated (seed {self._seed}). "
            "The days loop, at any hour."
        )
        return Description("bridge", SOURCE_LABEL, text, self._symbols)

    def steps(self, request: int = 0) -> Iterator[Step]:
        del request  # nothing goes to the venue but ticks
        begin, self._start_step = self._start_step, 0
        count = len(self._symbols)
        for day in range(begin // self._steps_per_day, len(self._dates) - 1):
            days = [self._day(index, day) for index in range(count)]
            first = day * self._steps_per_day
            for step in range(max(begin, first), first + self._steps_per_day):
                for index in range(count):
                    offset = (step - begin) * self._step_ns + index * self._step_ns // count
                    yield Step(offset, days[index][step - first])

    def _day(self, index: int, day: int) -> list[tuple[Tick, ...]]:
        """The ticks of one instrument on one day, by step."""
        symbol = self._symbols[index]
        # Each instrument's day has a generator of its own: it comes out the same wherever a pass begins.
        rng = Random(f"{self._seed}/{symbol}/{self._dates[day + 1].isoformat()}")
        first, last = self._ticks[symbol][day : day + 2]
        prices = path(first, last, self._steps_per_day, rng)[1:]
        opening = datetime.combine(self._dates[day + 1], _SESSION_OPEN)
        opening_ns = int(opening.timestamp()) * NS
        ticks = []
        for step, price in enumerate(prices):
            number = ((day * self._steps_per_day + step) * len(self._symbols) + index) * 2
            time_ns = opening_ns + _SESSION_NS * (step + 1) // self._steps_per_day
            closing = step == len(prices) - 1
            ticks.append(self._ticks_at(symbol, price, time_ns, number, closing, rng))
        return ticks

    @staticmethod
    def _ticks_at(
        symbol: str, price: int, time_ns: int, number: int, closing: bool, rng: Random
    ) -> tuple[Tick, ...]:
        spread = 1 + _below(rng, 1 + price // SPREAD_STEP_TICKS)
        at_bid = bool(_below(rng, 2))
        bid = price if at_bid else price - spread
        lots = (1 + _below(rng, QUOTE_LOTS_MAX), 1 + _below(rng, QUOTE_LOTS_MAX))
        bid_size, ask_size = (n * ROUND_LOT * QTY_SCALE for n in lots)
        standing = quote(symbol, time_ns, bid * TICK_E8, (bid + spread) * TICK_E8, bid_size, ask_size, number)
        printed = 1 + _below(rng, lots[0] if at_bid else lots[1])
        if _below(rng, TRADE_EVERY) and not closing:
            return (standing,)
        size_e8 = printed * ROUND_LOT * QTY_SCALE
        return (standing, trade(standing, time_ns, price * TICK_E8, size_e8, number + 1))
