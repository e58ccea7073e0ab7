"""A small venue in a process of its own, to be killed: the simulator behind its acceptor, and a market of one
share whose quote comes anew all the time, or no market but its members.

python -m tests.simulator.venue_child FOLDER PORT quotes|members
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import count
from pathlib import Path

from core.units import price_e8, qty_e8
from fix.acceptor import only
from fix.simulator.control import OPERATOR
from fix.simulator.exchange import Exchange
from fix.simulator.market import NoMarket, Quotes
from fix.simulator.venue import Venue
from tests.simulator.desk import COPY, OWNER, SHARES

QUOTE_S = 0.002
LET_IN = frozenset({OWNER, COPY, "ANNA", "BEN", OPERATOR})


async def serve(folder: Path, port: int, has_quotes: bool) -> None:
    quotes = Quotes()
    exchange = Exchange(SHARES, quotes if has_quotes else NoMarket())
    venue = Venue(exchange, folder, "SIMULATOR", only(LET_IN))
    await venue.acceptor.listen("127.0.0.1", port)
    running = asyncio.create_task(venue.acceptor.run())
    for index in count():
        if has_quotes:
            wave = index % 10
            bid = price_e8(100) + wave * price_e8("0.01")
            quotes.on_quote("AAPL", bid, bid + price_e8("0.02"), qty_e8(7), qty_e8(5), index)
            venue.simulator.publish(exchange.moved("AAPL", time.time_ns()))
        await asyncio.sleep(QUOTE_S)
        if running.done():
            running.result()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "quotes"))
