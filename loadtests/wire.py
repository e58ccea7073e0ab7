"""Wire to wire: from the client's socket to the venue's and back, beside a C relay that only moves the same bytes.

Measured: one compiled generator thread on core 0 plays client and venue. It sends a NewOrderSingle into one connection
and spins until a whole message has come out of the other (`order_wire`); then it sends an ExecutionReport into that
one, which names the ClOrdID that came out, and spins until the client has its message (`report_wire`). Stamps are the
core's counter, right before `send` and right after the `recv` that completed the message; each message is made before
its stamp. What is measured runs on core 1 and polls both connections without rest. Messages are sent at a pace, one
order at a time, as a lone trader does; a late one is sent at once.
Limit: loadtests/limits/relay.c, in turns with the others in every round.
Excluded: the network (loopback), and whoever else shares the two cores.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np

from fix.wire.frame import frame
from fix.wire.template import Built, Kind, Template, build, encode, write_digits
from fix.wire.tokens import Array, data_table, find, token_table, tokenise
from loadtests.clock import ticks, ticks_per_s
from loadtests.limits import compiled
from loadtests.measure import Row, on_core, pin, progress, row
from shared_mem.atomics import CLOCK_REALTIME, clock_ns, pause
from shared_mem.jit import whole
from shared_mem.sockets import recv_now, send_now

ROUNDS: Final = 5
WARM_UP: Final = 2_000
ORDERS: Final = 20_000
# A lone trader's pace: each order finds the wires empty and the caches as the last one left them.
ORDERS_PER_S: Final = 10_000
# Polls without a byte before the generator takes the other side for dead: some seconds.
POLLS_MAX: Final = 20_000_000
BUFFER_BYTES: Final = 1 << 16
CL_ORD_ID: Final = "W-000000000"
# As long as the symbols of the desk's benchmarks.
SYMBOL: Final = "AAAAAAAATRADEWIN"
RELAY, C_RELAY = "compiled relay", "C relay"
CLIENT, DESK, VENUE = "CLIENT", "TRADEWIND", "SIMULATOR"

Header = list[tuple[int, str | Kind]]


def _header(sender: str, target: str) -> Header:
    return [(34, Kind.INT), (49, sender), (52, Kind.TIME_MS), (56, target)]


def new_order(symbol: str, price: str) -> Built:
    """A client's NewOrderSingle: 34, 52, 60 and ClOrdID (11) change."""
    terms: Header = [(11, Kind.TEXT), (38, "1"), (40, "2"), (44, price), (54, "1"), (55, symbol), (59, "0")]
    return build("FIX.4.4", "D", [*_header(CLIENT, DESK), *terms, (60, Kind.TIME_MS)])


def accepted(symbol: str) -> Built:
    """The venue's ExecutionReport that the order is NEW: 34, 52, 60, ClOrdID and ExecID (17) change."""
    first: Header = [(6, "0"), (11, Kind.TEXT), (14, "0"), (17, Kind.INT), (37, "V1"), (38, "1"), (39, "0")]
    rest: Header = [(54, "1"), (55, symbol), (60, Kind.TIME_MS), (150, "0"), (151, "1")]
    return build("FIX.4.4", "8", [*_header(VENUE, DESK), *first, *rest])


class Side(NamedTuple):
    """One end that the generator plays: its connection, its message, and where what changes goes."""

    fd: int
    template: Template
    values: Array
    seq: int  # slots in `values`
    sending_time: int
    transact_time: int
    cl_ord_id: int
    exec_id: int  # -1: the message has none
    out: Array  # uint8
    came: Array  # uint8
    text: Array  # uint8: the ClOrdID that its next message names


class Player(NamedTuple):
    client: Side
    venue: Side
    tokens: Array
    data_of: Array
    scratch: Array
    acks: int  # messages that the client gets before the venue answers


def side(fd: int, built: Built) -> Side:
    slots = built.slots
    return Side(
        fd, built.template, built.values, slots[34], slots[52], slots[60], slots[11], slots.get(17, -1),
        np.zeros(1024, np.uint8), np.zeros(BUFFER_BYTES, np.uint8), np.zeros(64, np.uint8),
    )  # fmt: skip


@whole
def _make(end: Side, seq: int, length: int, now_ns: int) -> tuple[int, int]:
    """The end's next message, in `out`: where it begins, and its bytes."""
    values = end.values
    values[end.seq] = seq
    values[end.sending_time] = now_ns
    values[end.transact_time] = now_ns
    values[end.cl_ord_id] = end.text.ctypes.data
    values[end.cl_ord_id + 1] = length
    if end.exec_id >= 0:
        values[end.exec_id] = seq
    return encode(end.template, values, end.out.ctypes.data, end.out.size)


@whole
def _put(end: Side, start: int, length: int) -> bool:
    """All of the message into the socket; False when it does not take it."""
    done = 0
    for _ in range(POLLS_MAX):
        sent = send_now(end.fd, end.out.ctypes.data + start + done, length - done)
        if sent < 0:
            return False
        done += sent
        if done == length:
            return True
    return False


@whole
def _await(end: Side, messages: int) -> int:
    """Spin until so many whole messages have come, and no more; the bytes of the last one, which then stands at the
    beginning of `came`. -1: they did not come. At most BUFFER_BYTES come before they are whole."""
    base = end.came.ctypes.data
    held = 0
    for _ in range(POLLS_MAX):
        found = recv_now(end.fd, base + held, BUFFER_BYTES - held)
        if found < 0:
            return -1
        held += found
        while found > 0 and held > 0:
            taken = frame(base, held)
            if taken < 0:
                return -1
            if taken == 0:
                break
            messages -= 1
            if messages == 0:
                return taken if taken == held else -1
            for i in range(held - taken):
                end.came[i] = end.came[taken + i]
            held -= taken
        if found == 0:
            pause()
    return -1


@whole
def play(player: Player, first: int, count: int, interval: int, orders: Array, reports: Array) -> int:
    """`count` orders, each answered: the ticks of each way into `orders` and `reports`. interval: ticks from one order
    to the next. Returns how many went through."""
    client, venue = player.client, player.venue
    due = ticks()
    for i in range(count):
        seq = first + i
        write_digits(client.text.ctypes.data + 2, seq, 9)
        now_ns = clock_ns(CLOCK_REALTIME, player.scratch.ctypes.data)
        start, length = _make(client, seq, len(CL_ORD_ID), now_ns)
        due += interval
        while ticks() < due:
            pause()
        before = ticks()
        if not _put(client, start, length):
            return i
        taken = _await(venue, 1)
        orders[i] = ticks() - before
        if taken < 0 or (player.acks > 0 and _await(client, player.acks) < 0):
            return i
        fields = tokenise(venue.came.ctypes.data, taken, player.tokens, player.data_of)
        named = find(player.tokens, fields, 11, 0) if fields > 0 else -1
        if named < 0 or player.tokens[named].length > venue.text.size:
            return i
        for k in range(player.tokens[named].length):
            venue.text[k] = venue.came[player.tokens[named].offset + k]
        start, length = _make(venue, seq, int(player.tokens[named].length), now_ns)
        before = ticks()
        if not _put(venue, start, length):
            return i
        if _await(client, 1) < 0:
            return i
        reports[i] = ticks() - before
    return count


@whole
def relay(client: int, venue: int, buffer: Array) -> int:
    """relay.c once more, compiled from Python: what the compiled way to the sockets costs beside C's."""
    base = buffer.ctypes.data
    while True:
        for way in range(2):
            source, target = (client, venue) if way == 0 else (venue, client)
            found = recv_now(source, base, buffer.size)
            if found < 0:
                return found
            done = 0
            while done < found:
                sent = send_now(target, base + done, found - done)
                if sent < 0:
                    return sent
                done += sent


# --- what stands between the two connections ---------------------------------------------------------------------

Pair = tuple[socket.socket, socket.socket]
# Given two listening ports, connects to both and moves bytes until the peer closes; the wait for its end.
Between = Callable[[int, int], Callable[[], None]]


def by_c(program: str) -> Between:
    def start(client_port: int, venue_port: int) -> Callable[[], None]:
        child = subprocess.Popen([program, str(client_port), str(venue_port)])
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(child.pid, {1})

        def ended() -> None:
            if child.wait(timeout=30) != 0:
                raise RuntimeError(f"{program} ended with {child.returncode}")

        return ended

    return start


def connected(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def by_compiled(client_port: int, venue_port: int) -> Callable[[], None]:
    client, venue = connected(client_port), connected(venue_port)

    def run() -> None:
        pin(1)
        relay(client.fileno(), venue.fileno(), np.zeros(BUFFER_BYTES, np.uint8))
        client.close()
        venue.close()

    thread = threading.Thread(target=run, name="relay")
    thread.start()
    return thread.join


@contextmanager
def connections(between: Between) -> Iterator[Pair]:
    """Both ends that the generator plays, with `between` at their other ends."""
    with (
        socket.create_server(("127.0.0.1", 0)) as for_client,
        socket.create_server(("127.0.0.1", 0)) as for_venue,
    ):
        ended = between(for_client.getsockname()[1], for_venue.getsockname()[1])
        ends = for_client.accept()[0], for_venue.accept()[0]
    try:
        for end in ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield ends
    finally:
        for end in ends:
            end.close()
        ended()


class Ways(NamedTuple):
    """Microseconds of each order's way to the venue, and of each report's to the client."""

    orders: np.ndarray[Any, np.dtype[np.float64]]
    reports: np.ndarray[Any, np.dtype[np.float64]]


def measured(ends: Pair, symbol: str, acks: int = 0, first: int = 1) -> Ways:
    """ORDERS orders through what stands between these ends, after WARM_UP that are not counted. first: the MsgSeqNum
    that both begin with; acks: see Player."""
    client, venue = side(ends[0].fileno(), new_order(symbol, "100")), side(ends[1].fileno(), accepted(symbol))
    client.text[: len(CL_ORD_ID)] = np.frombuffer(CL_ORD_ID.encode(), np.uint8)
    player = Player(client, venue, token_table(256), data_table(), np.zeros(2, np.int64), acks)
    second = ticks_per_s()
    orders, reports = np.zeros(ORDERS, np.int64), np.zeros(ORDERS, np.int64)
    with on_core(0):
        for begin, many in ((first, WARM_UP), (first + WARM_UP, ORDERS)):
            done = play(player, begin, many, second // ORDERS_PER_S, orders, reports)
            if done != many:
                raise RuntimeError(f"{done} of {many} orders went through")
    return Ways(orders / second * 1e6, reports / second * 1e6)


def through_a_relay(between: Between) -> Ways:
    with connections(between) as ends:
        return measured(ends, SYMBOL)


def rounds(ways: dict[str, Callable[[], Ways]]) -> dict[str, list[Ways]]:
    """ROUNDS of each, in turns."""
    found: dict[str, list[Ways]] = {name: [] for name in ways}
    for number in range(ROUNDS):
        for name, measure in ways.items():
            progress(f"{name}, round {number + 1} of {ROUNDS}")
            found[name].append(measure())
    return found


def _points(ways: list[Ways], q: float) -> tuple[list[float], list[float]]:
    return (
        [float(np.percentile(each.orders, q)) for each in ways],
        [float(np.percentile(each.reports, q)) for each in ways],
    )


def relays() -> dict[str, Callable[[], Ways]]:
    """The C relay, where there is a C compiler, and the compiled one."""
    program = compiled("relay")
    ways = {RELAY: lambda: through_a_relay(by_compiled)}
    if program is not None:
        ways[C_RELAY] = lambda: through_a_relay(by_c(str(program)))
    return ways


def rows(ways: dict[str, list[Ways]], name: str, prefix: str, note: str) -> list[Row]:
    """p50 and p99 of both ways through what `name` is, beside the C relay's."""
    made = []
    for point, q in (("p50", 50.0), ("p99", 99.0)):
        ours, limit = _points(ways[name], q), _points(ways.get(C_RELAY, []), q)
        text = f"{note}; {ORDERS_PER_S:,} orders/s, one at a time"
        made.append(row(f"{prefix}order_wire_{point}", "us", ours[0], limit=limit[0], note=text))
        made.append(row(f"{prefix}report_wire_{point}", "us", ours[1], limit=limit[1]))
    return made
