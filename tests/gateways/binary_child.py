"""A client in a process of its own, to be killed: `binary_child.py HOST PORT KEY SECRET JOURNAL ORDERS`.

It sends ORDERS orders, each under a token of its life and number, and puts away what it hears: a line an event in
JOURNAL, "seq token exec_type". It begins behind the last line that is whole.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from core.records import Side
from gateways.binary.blocking_client import BlockingClient
from gateways.binary.messages import OrderEvent


def lines(journal: Path) -> list[str]:
    """Those that are whole; a torn one is cut off."""
    if not journal.exists():
        return []
    raw = journal.read_text()
    whole = raw[: raw.rfind("\n") + 1]
    if whole != raw:
        journal.write_text(whole)
    return whole.splitlines()


def main(host: str, port: str, key: str, secret: str, journal: str, orders: str) -> None:
    path = Path(journal)
    known = lines(path)
    next_seq = int(known[-1].split()[0]) + 1 if known else 1
    life = os.getpid()
    with path.open("a") as file, BlockingClient(host, int(port), key, secret, next_seq=next_seq) as client:
        sent = 0
        while sent < int(orders) or client.unanswered:
            if sent < int(orders):
                client.order("AAPL", Side.BUY, 1, "150.00", token=f"{life}-{sent}")
                sent += 1
            heard = client.hear(timeout_s=0.01)
            if isinstance(heard, OrderEvent):
                file.write(f"{heard.seq} {heard.token} {heard.exec_type}\n")
                file.flush()
        sys.stdout.write("done\n")
        sys.stdout.flush()
        while True:  # until it is killed
            heard = client.hear(timeout_s=1)
            if isinstance(heard, OrderEvent):
                file.write(f"{heard.seq} {heard.token} {heard.exec_type}\n")
                file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
