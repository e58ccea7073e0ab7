"""A small venue in a process of its own, to be killed: the simulator behind its acceptor, and a market of one
share whose quote comes anew all the time.

python -m tests.simulator.venue_child FOLDER PORT
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import count
from pathlib import Path

from core.units import price_e8, qty_e8
from fix.acceptor import only
from fix.simulator.exchange import Exchange
from fix.simulator.market import Quotes
from fix.simulator.venue import Venue
from tests.simulator.desk import OWNER, SHARES

QUOTE_S = 0.002


async def serve(folder: Path, port: int) -> None:
    quotes = Quotes()
    exchange = Exchange(SHARES, quotes)
    venue = Venue(exchange, folder, "SIMULATOR", only({OWNER}))
    await venue.acceptor.listen("127.0.0.1", port)
    running = asyncio.create_task(venue.acceptor.run())
    for index in count():
        wave = index % 10
        bid = price_e8(100) + wave * price_e8("0.01")
        quotes.on_quote("AAPL", bid, bid + price_e8("0.02"), qty_e8(7), qty_e8(5), index)
        venue.simulator.publish(exchange.moved("AAPL", time.time_ns()))
        await asyncio.sleep(QUOTE_S)
        if running.done():
            running.result()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
