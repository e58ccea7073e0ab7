"""The wire between the desk and its venue: a TCP relay that keeps every byte, and what an outsider reads in them.

Parsed with simplefix, which shares nothing with fix/codec.py. Sent is what the desk sends, received what the venue
answers. Messages come in the order of the wire, connection after connection.
"""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

import simplefix

CHUNK_BYTES = 64 * 1024

Fields = dict[int, str]


class Connection:
    """One connection's bytes, both ways."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.received = bytearray()


class Relay:
    """Listens on a port of its own and passes bytes on to `target` once that is known; refuses until then."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.target: tuple[str, int] | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                desk, _ = self._listener.accept()
            except OSError:
                return
            try:
                venue = socket.create_connection(self.target) if self.target is not None else None
            except OSError:
                venue = None
            if venue is None:
                desk.close()
                continue
            connection = Connection()
            self.connections.append(connection)
            for source, kept, sink in ((desk, connection.sent, venue), (venue, connection.received, desk)):
                threading.Thread(target=_pump, args=(source, kept, sink), daemon=True).start()


def _pump(source: socket.socket, kept: bytearray, sink: socket.socket) -> None:
    """Until `source` ends. What it still said to a peer that is gone is on the wire all the same."""
    while True:
        try:
            data = source.recv(CHUNK_BYTES)
        except OSError:
            data = b""
        kept += data
        try:
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)
        except OSError:
            if not data:
                return


def messages(raw: bytes) -> Iterator[Fields]:
    """The whole messages in one direction's bytes; the last one may be torn, and is left out."""
    parser = simplefix.FixParser()
    parser.append_buffer(raw)
    while (message := parser.get_message()) is not None:
        yield {int(tag): value.decode() for tag, value in message.pairs}


class Fill(NamedTuple):
    """One trade as the venue reported it."""

    exec_id: str
    cl_ord_id: str
    symbol: str
    side: str  # "1" buys, "2" sells
    qty: Decimal
    price: Decimal
    limit: Decimal
    recording_index: int
    recorded_order_id: int


class Wire:
    """What was said on the wire up to now."""

    def __init__(self, relay: Relay) -> None:
        connections = list(relay.connections)
        self.sent = [m for c in connections for m in messages(bytes(c.sent))]
        self.received = [m for c in connections for m in messages(bytes(c.received))]

    @property
    def new_orders(self) -> list[Fields]:
        return [m for m in self.sent if m[35] == "D"]

    @property
    def reports(self) -> list[Fields]:
        """ExecutionReports in the order of their numbers, each once however often it was sent; but none that only
        answers how an order stands."""
        by_number = {int(m[34]): m for m in self.received if m[35] == "8" and m[150] != "I"}
        return [by_number[number] for number in sorted(by_number)]

    @property
    def fills(self) -> list[Fill]:
        return [_fill(m) for m in self.reports if m[150] == "F"]

    def assert_nothing_is_doubled(self) -> None:
        """Nothing but a marked resend comes twice, a number stands for one message, an order for one order."""
        for side in (self.sent, self.received):
            numbers = [(m[34]) for m in side if m.get(43) != "Y" and m[35] not in "A5"]
            assert len(numbers) == len(set(numbers)), "a sequence number was used for two messages"
            for same in _by(34, [m for m in side if m[35] in "D89F"]).values():
                assert len({_substance(m) for m in same}) == 1, f"a resend says something else: {same}"
        for cl_ord_id, same in _by(11, [m for m in self.sent if m[35] in "DF"]).items():
            assert sum(m.get(43) != "Y" for m in same) <= 1, f"{cl_ord_id} was sent twice"
            assert len({m[34] for m in same}) == 1, f"{cl_ord_id} has two sequence numbers"
        reports = self.reports
        assert len({m[17] for m in reports}) == len(reports), "an ExecID came twice"
        for order_id, same in _by(37, reports).items():
            assert len({m.get(41, m[11]) for m in same}) == 1, f"{order_id} answers two orders of ours"
        for cl_ord_id, same in _by(11, [m for m in reports if m[150] in "08"]).items():
            assert len(same) == 1, f"the venue took {cl_ord_id} {len(same)} times"

    def positions(self) -> dict[str, Decimal]:
        """Holdings by symbol, from nothing but the fills; none that is zero."""
        held: defaultdict[str, Decimal] = defaultdict(Decimal)
        for fill in self.fills:
            held[fill.symbol] += fill.qty if fill.side == "1" else -fill.qty
        return {symbol: qty for symbol, qty in held.items() if qty}

    def cash(self, opening: Decimal) -> Decimal:
        paid = (f.qty * f.price * (-1 if f.side == "1" else 1) for f in self.fills)
        return opening + sum(paid, Decimal())

    def fills_by_order(self) -> dict[str, list[tuple[Decimal, Decimal]]]:
        """(quantity, price) of each fill, in order, by ClOrdID."""
        found: defaultdict[str, list[tuple[Decimal, Decimal]]] = defaultdict(list)
        for fill in self.fills:
            found[fill.cl_ord_id].append((fill.qty, fill.price))
        return dict(found)


def _fill(m: Fields) -> Fill:
    return Fill(
        exec_id=m[17],
        cl_ord_id=m[11],
        symbol=m[55],
        side=m[54],
        qty=Decimal(m[32]),
        price=Decimal(m[31]),
        limit=Decimal(m[44]),
        recording_index=int(m[20001]),
        recorded_order_id=int(m.get(20002, "0")),
    )


def _by(tag: int, found: Iterable[Fields]) -> dict[str, list[Fields]]:
    groups: defaultdict[str, list[Fields]] = defaultdict(list)
    for message in found:
        groups[message[tag]].append(message)
    return groups


def _substance(message: Fields) -> tuple[tuple[int, str], ...]:
    """All but what a resend changes: lengths, sums, its mark and its times."""
    return tuple(sorted((t, v) for t, v in message.items() if t not in (9, 10, 43, 52, 97, 122)))
