"""A shard with its FIX sessions on it: compiled rounds, and between them Python's turn for whoever needs one.

    desk = DirectDesk(shard, door, router)
    desk.connect(session, sock)       # a client's, once the door has admitted it; or the venue's
    desk.run()                        # until a session needs Python, or `stop()`
    desk.turn()                       # Python's turn; then run() again

Python's turn is `FixDoor` and `OrderRouter` as they are everywhere: Logons, cancels, gaps, sentences. A session that is
established and in step is lent to the compiled lines, and comes back at the byte and the record that are not for them.

Always holds: one thread. While Python has its turn no order is decided; that is why this is not how the stack runs yet
(docs/wire.md).
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from actors.shard import Lane, Shard, serve_lanes
from fix.codec import Field
from fix.durable import DurableSession
from fix.line.handover import lend, take_back
from fix.line.row import COMPILED, Table
from fix.order_router import OrderRouter, cursor_of
from gateways.direct.loop import F_POSITION, F_STOP, F_USED, lines_in, lines_out, make_direct, run
from gateways.direct.socket_wire import SocketWire
from gateways.fix_door import NOT_ARMED, FixDoor
from shared_mem.log import Reader, store_word
from shared_mem.log_reader import LogReader

# A lent client's cursor at the door, which tells it nothing meanwhile.
_LENT: Final = 1 << 62


class _Line:
    def __init__(self, session: DurableSession, wire: SocketWire, number: int, is_venue: bool) -> None:
        self.session = session
        self.wire = wire
        self.number = number
        self.is_venue = is_venue
        self.is_lent = False


class DirectDesk:
    """`shard` is recovered and not started: this serves it. `is_compiled` False: every session stays with Python."""

    def __init__(
        self,
        shard: Shard,
        log_dir: Path,
        door: FixDoor,
        router: OrderRouter,
        number: int = 0,
        order_fields: tuple[Field, ...] = (),
        *,
        is_compiled: bool = True,
    ) -> None:
        self._shard = shard
        self._log_dir = log_dir
        self._door = door
        self._router = router
        self._is_compiled = is_compiled
        self._table = Table()
        tail = shard.writer.tail
        orders, reports = (shard.lanes[lane].address for lane in (Lane.ORDERS_FIX_DOOR, Lane.REPORTS_VENUE))
        lines = self._table.lines
        self._direct = make_direct(shard.state, lines, number, orders, reports, tail.address, order_fields)
        self._direct.registers[F_POSITION] = tail.written
        self._lines: list[_Line] = []
        self._for_clients = self._reader(Reader.FIX_DOOR)
        self._for_venue = self._reader(Reader.FIX)

    def connect(self, session: DurableSession, sock: socket.socket, *, is_venue: bool = False) -> None:
        """Raises IndexError when there is no room for one more session. A record is told in the order in which sessions
        came: connect the venue first, and an order leaves before its acknowledgement."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = SocketWire(sock)
        known = [line for line in self._lines if line.session is session]
        number = known[0].number if known else self._table.add()
        self._lines = [line for line in self._lines if line.session is not session]
        self._direct.registers[F_USED] = self._table.used
        self._lines.append(_Line(session, wire, number, is_venue))
        session.connected(wire)
        if is_venue and not known:
            self._for_venue.position = cursor_of(session) or self._shard.writer.tail.written

    @property
    def connected(self) -> int:
        """How many sessions have a connection."""
        return sum(line.session.is_connected for line in self._lines)

    @property
    def lent(self) -> int:
        """How many sessions compiled code has now."""
        return sum(line.is_lent for line in self._lines)

    def run(self) -> int:
        """Compiled rounds until a session needs Python, or `stop`; the messages taken."""
        shard = self._shard
        took = int(run(shard.state, shard.out, shard.command, shard.wiring, self._direct))
        self._direct.registers[F_STOP] = 0
        return took

    def stop(self) -> None:
        """`run` returns, the one that is under way or the next."""
        store_word(self._direct.registers.ctypes.data + 8 * F_STOP, 1)

    def round(self, now_ns: int | None = None, steady_ns: int | None = None) -> int:
        """One compiled round, by a clock of the caller's; messages and records that it took."""
        shard = self._shard
        now_ns = time.time_ns() if now_ns is None else now_ns
        steady_ns = time.monotonic_ns() if steady_ns is None else steady_ns
        came = int(lines_in(self._direct, now_ns, steady_ns))
        served = int(serve_lanes(shard.state, shard.out, shard.command, shard.wiring, now_ns))
        told = int(lines_out(self._direct, now_ns, steady_ns))
        return came + served + told

    def turn(self) -> None:
        """Python's turn: sessions that compiled code gave back, those that it does not have, and lending again."""
        for line in self._lines:
            if line.is_lent and self._row(line)["owner"] != COMPILED:
                self._take_back(line)
        for line in self._lines:
            if not line.is_lent:
                self._read(line)
        self._follow()
        for line in self._lines:
            if not line.is_lent and line.session.is_connected:
                line.session.tick()
                line.wire.flush()
        if self._is_compiled and self._all_told():
            for line in self._lines:
                self._lend(line)

    def close(self) -> None:
        for line in self._lines:
            if line.is_lent:
                self._row(line)["owner"] = 0
                self._take_back(line)
            line.session.hang_up()
        self._for_clients.close()
        self._for_venue.close()

    # --- inside ---------------------------------------------------------------------------------------------

    def _reader(self, name: Reader) -> LogReader:
        return LogReader(self._log_dir, self._shard.run_dir, name, self._shard.writer.tail.written)

    def _row(self, line: _Line) -> Any:
        return self._table.lines[line.number]

    def _read(self, line: _Line) -> None:
        if not line.session.is_connected:
            return
        data = line.wire.read()
        if data is None:
            line.wire.abort()
            line.session.disconnected()
        elif data:
            line.session.received(data)

    def _follow(self) -> None:
        """The log's new records to the sessions that Python has."""
        if not self._has_clients():
            self._for_clients.position = self._shard.writer.tail.written
            self._door.begin_at(self._for_clients.position)
        while records := self._for_clients.read():
            self._door.follow(records)
        for line in self._lines:
            if not line.is_venue or line.is_lent or not line.session.is_logged_on:
                continue
            while self._router.may_read(line.session) and (records := self._for_venue.read()):
                self._router.route(line.session, records)
            self._router.push(line.session)

    def _has_clients(self) -> bool:
        """Whether the door has to tell anybody: also one who is away, for its next Logon."""
        return any(not line.is_venue and not line.is_lent for line in self._lines)

    def _all_told(self) -> bool:
        """Whether Python has told its sessions all that the log says, so that both follow it from one place."""
        written = self._shard.writer.tail.written
        venues = [line for line in self._lines if line.is_venue and not line.is_lent]
        is_told = self._for_clients.position == written
        is_told &= all(self._for_venue.position == written for line in venues if line.session.is_logged_on)
        return is_told and int(self._direct.registers[F_POSITION]) == written

    def _lend(self, line: _Line) -> None:
        if line.is_lent or not line.session.is_logged_on:
            return
        line.is_lent = self._lend_venue(line) if line.is_venue else self._lend_client(line)

    def _lend_venue(self, line: _Line) -> bool:
        session = line.session
        if not self._router.is_idle(session):
            return False
        state = session.state[:8] or bytes(8)
        return lend(self._table, line.number, session, line.wire.fd, state)

    def _lend_client(self, line: _Line) -> bool:
        """A client with no cancel or replace under way, no order unanswered or in doubt, and no grace to run."""
        session, name = line.session, line.session.key.target
        client = self._door.clients.get(name)
        if client is None or client.cancels or client.doubts or client.grace_ms != NOT_ARMED:
            return False
        if self._door.unanswered[client.account]:
            return False
        # A cursor of nine bytes, so that any fits; where it stands is found by a cursor that nothing else can be.
        told, client.cursor = client.cursor, _LENT
        state = msgspec.msgpack.encode(client)
        at = state.index(_LENT.to_bytes(8, "big"))
        state = state[:at] + told.to_bytes(8, "big") + state[at + 8 :]
        if not lend(self._table, line.number, session, line.wire.fd, state, at, big=True):
            client.cursor = told
            return False
        throttle, row = self._door.throttles[name], self._row(line)
        row["account"] = client.account
        row["times"], _ = throttle.times.buffer_info()
        row["times_at"], row["times_last_ns"] = throttle.at, throttle.last_ns
        row["messages"], row["window_ns"] = throttle.messages, throttle.window_ns
        return True

    def _take_back(self, line: _Line) -> None:
        """The session, and where it was told up to, before it is fed anything."""
        row = self._row(line)
        is_alone = not self._has_clients()
        line.is_lent = False
        cursor = int(row["cursor"])
        if line.is_venue:
            self._for_venue.position = cursor
        else:
            name = line.session.key.target
            client, throttle = self._door.clients[name], self._door.throttles[name]
            client.cursor = cursor
            throttle.at, throttle.last_ns = int(row["times_at"]), int(row["times_last_ns"])
            self._for_clients.position = cursor if is_alone else min(cursor, self._for_clients.position)
        why = take_back(self._table, line.number, line.session)
        if why is why.CLOSED and line.session.is_connected:
            line.wire.abort()
            line.session.disconnected()
