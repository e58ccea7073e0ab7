"""The limit of the REST door as it is built: a uvloop program that reads a POST with httptools, writes 200 bytes to a
TCP connection, and answers. No checks, no log, no JSON.

    python -m loadtests.limits.http_to_tcp HTTP_PORT VENUE_PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import httptools
import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Door(asyncio.Protocol):
    def __init__(self, venue: asyncio.Transport) -> None:
        self._venue = venue
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._venue.write(self._body.ljust(200)[:200])
        self._transport.write(ANSWER)
        self._body = b""


async def main(http_port: int, venue_port: int) -> None:
    loop = asyncio.get_running_loop()
    venue, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", venue_port)
    server = await loop.create_server(lambda: Door(venue), "127.0.0.1", http_port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
