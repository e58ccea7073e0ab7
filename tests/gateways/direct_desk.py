"""A desk whose client and venue are sockets of the test, with the compiled lines or without: the same story for both.

Everything that has a clock has the story's. Each message is worked off before the next one is sent, so that Python,
which answers a session's message before the log's records behind it, comes to the same order.
"""

from __future__ import annotations

import select
import socket
from pathlib import Path
from typing import Any

import numpy as np

from actors.shard import Lane, Shard, serve_lanes, take_ticks
from actors.tables import Capacity
from actors.view import StateView
from core import commands, units
from core.records import HEAD, TICK, TickKind
from fix.acceptor import Acceptor
from fix.codec import Framer, Message, parse
from fix.dictionary import load
from fix.durable import DurableSession
from fix.order_bodies import OrderBodies
from fix.order_router import OrderRouter
from fix.session import Role, SessionConfig
from fix.store import Store
from fix.tags import Tag
from gateways.direct.desk import DirectDesk
from gateways.fix_door import FixDoor
from gateways.fix_rules import FixRules, client_sessions
from gateways.order_events import account_text_of, symbol_of
from shared_mem.flusher import Flusher
from shared_mem.log import KIND_CLOSING, Reader
from shared_mem.log_reader import LogReader, Record
from shared_mem.ring import SEQUENCE_BITS
from tests.fix.peers import no_questions
from tests.fix.wire import NOON_NS, SECOND_NS, from_peer

SEGMENT_BYTES = 1 << 20
CAPACITY = Capacity(16, 16, 64, 1024, groups=16, cash=16)
# Rounds without anything to do after which a story is at rest.
QUIET_ROUNDS = 3
PATIENCE_S = 10


class Peer:
    """One end of a connection: it numbers what it sends, and keeps what it hears, as bytes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seq = 1
        self.heard = b""
        self.sock: socket.socket | None = None

    def message(self, msg_type: str, body: str, now_ns: int, seq: int | None = None) -> bytes:
        raw = from_peer(
            msg_type, self.seq if seq is None else seq, body, now_ns, sender=self.name, target="TRADEWIND"
        )
        if seq is None:
            self.seq += 1
        return raw

    def listen(self) -> None:
        while self.sock is not None:
            try:
                data = self.sock.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.sock.close()
                self.sock = None
            self.heard += data

    @property
    def messages(self) -> list[Message]:
        framer = Framer()
        framer.feed(self.heard)
        return [parse(frame) for frame in framer]


class StreetDesk:
    """One client (TW000001), one venue, one instrument (AAPL at 99.99 to 100)."""

    def __init__(self, folder: Path, *, is_compiled: bool, messages: int = 10_000) -> None:
        self.folder = folder
        self.now_ns = NOON_NS
        self.log_dir, run_dir = folder / "log", folder / "run"
        self.shard = Shard(self.log_dir, run_dir, capacity=CAPACITY, segment_bytes=SEGMENT_BYTES)
        self.shard.recover()
        self.flusher = Flusher(self.shard.writer)
        self._open_market()
        view = StateView.attach(run_dir)
        self.door = FixDoor(
            shard=0,
            authenticate=lambda _key, _secret: 1,
            rules_of=lambda _key: FixRules(messages=messages),
            view=view,
            orders=self.shard.lanes[Lane.ORDERS_FIX_DOOR],
            cancels=self.shard.lanes[Lane.CANCELS_FIX_DOOR],
            clock=lambda: self.now_ns,
        )
        self.acceptor = Acceptor(
            folder / "clients", "TRADEWIND", self.door, self.door.admit, clock=lambda: self.now_ns,
            configure=client_sessions("TRADEWIND"),
        )  # fmt: skip
        self.door.attach(self.acceptor)
        self.door.begin_at(self.shard.writer.tail.written)
        router = OrderRouter(
            0, self.shard.lanes[Lane.REPORTS_VENUE], lambda n: symbol_of(view, n), lambda n: account_text_of(view, n),
            OrderBodies(load("FIX.4.4")), no_questions(),
        )  # fmt: skip
        config = SessionConfig("TRADEWIND", "SIMULATOR", Role.INITIATOR)
        self.at_venue = DurableSession(config, Store(folder / "venue"), router, lambda: self.now_ns)
        self.at_client = self.acceptor.open_session("CLIENT")
        self.desk = DirectDesk(self.shard, self.log_dir, self.door, router, is_compiled=is_compiled)
        self.client, self.venue = Peer("CLIENT"), Peer("SIMULATOR")
        self._ours: dict[str, socket.socket] = {}

    def _open_market(self) -> None:
        asked = (
            commands.define_instrument(
                request_id=1, symbol="AAPL", tick_e8=units.price_e8("0.01"), lot_e8=units.qty_e8(1),
                max_order_qty_e8=units.qty_e8(1_000), collar_bps=500, quote_age_ms_max=3_600_000,
            ),
            commands.open_account(
                request_id=2, number="TW000001", max_order_qty_e8=units.qty_e8(1_000),
                max_order_notional_e6=units.cash_e6(500_000), max_position_qty_e8=units.qty_e8(50_000),
            ),
            commands.deposit(request_id=3, account=1, amount_e6=units.cash_e6(10_000_000)),
        )  # fmt: skip
        for command in asked:
            assert self.shard.lanes[Lane.ADMIN].try_push(command)
            self._serve()
        tick = np.zeros(1, TICK)
        tick["instrument"], tick["kind"] = 1, TickKind.QUOTE
        tick["bid_e8"], tick["ask_e8"] = units.price_e8("99.99"), units.price_e8("100")
        tick["bid_size_e8"] = tick["ask_size_e8"] = units.qty_e8(100)
        tick["time_ns"] = tick["published_ns"] = self.now_ns
        self.shard._ticks.publish(tick.tobytes())
        take_ticks(self.shard.state, self.shard.wiring)

    def _serve(self) -> None:
        shard = self.shard
        serve_lanes(shard.state, shard.out, shard.command, shard.wiring, self.now_ns)

    # --- the story --------------------------------------------------------------------------------------------

    def log_on(self) -> None:
        self.connect_venue()
        self.connect_client()

    def connect_client(self) -> None:
        logon = self.client.message("A", "98=0|108=30|553=K|554=S", self.now_ns)
        assert self.door.admit(self.at_client.key, parse(logon)) is None
        self._connect(self.client, self.at_client, is_venue=False)
        self.say(self.client, logon)

    def connect_venue(self) -> None:
        self._connect(self.venue, self.at_venue, is_venue=True)
        self.say(self.venue, self.venue.message("A", "98=0|108=30", self.now_ns))

    def _connect(self, peer: Peer, session: DurableSession, *, is_venue: bool) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            peer.sock = socket.create_connection(server.getsockname())
            ours, _ = server.accept()
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sock.setblocking(False)
        self._ours[peer.name] = ours
        self.desk.connect(session, ours, is_venue=is_venue)
        self.settle()

    def say(self, peer: Peer, data: bytes, cuts: tuple[int, ...] = ()) -> None:
        """These bytes, cut at these places: each piece arrives before the next is sent. Then all is worked off."""
        ends = [*(cut for cut in sorted(set(cuts)) if 0 < cut < len(data)), len(data)]
        begin = 0
        for end in ends:
            if peer.sock is None:
                break
            peer.sock.setblocking(True)
            peer.sock.sendall(data[begin:end])
            peer.sock.setblocking(False)
            ours = self._ours[peer.name]
            if ours.fileno() >= 0:
                waiting = select.poll()  # not `select`: a long run of tests has more than 1,024 descriptors
                waiting.register(ours, select.POLLIN)
                waiting.poll(PATIENCE_S * 1000)
            if end < len(data):
                self.desk.round(self.now_ns, self.now_ns)
                self.desk.turn()
            begin = end
        self.settle()

    def pass_time(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND_NS)
        self.settle()

    def settle(self) -> None:
        """Until nothing is left to do on either side."""
        quiet = 0
        while quiet < QUIET_ROUNDS:
            before = self._heard
            took = self.desk.round(self.now_ns, self.now_ns)
            self.desk.turn()
            for peer in (self.client, self.venue):
                peer.listen()
            quiet = 0 if took or self._heard != before else quiet + 1
        tail = self.shard.writer.tail
        if tail.written - tail.synced > SEGMENT_BYTES // 4:
            self.flusher.flush()

    @property
    def _heard(self) -> int:
        return len(self.client.heard) + len(self.venue.heard)

    def orders_heard(self) -> list[str]:
        """ClOrdIDs of the orders that reached the venue."""
        return [m.require(Tag.ClOrdID) for m in self.venue.messages if m.type == "D"]

    # --- what came of it --------------------------------------------------------------------------------------

    def records(self) -> list[tuple[int, int, int, bytes]]:
        """The whole log: what each record says, and when."""
        self.flusher.flush()
        reader = LogReader(self.log_dir, self.folder / "run", Reader.AUDIT, 0)
        found: list[Record] = []
        while more := reader.read():
            found += more
        reader.close()
        return [(record.kind, record.seq, record.time_ns, _without_ring(record)) for record in found]

    def close(self) -> dict[str, Any]:
        """Ends it; what the two stores say."""
        self.desk.close()
        for peer in (self.client, self.venue):
            if peer.sock is not None:
                peer.sock.close()
        self.at_client.close()
        self.at_venue.close()
        self.shard.writer.close()
        self.shard._bell.close()
        told = {}
        for name in ("clients/CLIENT", "venue"):
            store = Store(self.folder / name)
            sent = [(each.seq, each.raw) for each in store.read(1, store.next_out)]
            told[name] = (store.next_in, store.next_out, sent)
            store.close()
        return told


def _without_ring(record: Record) -> bytes:
    """A command's `lane_seq` begins with its ring's id, which is drawn at random: that is left out."""
    if record.kind >= KIND_CLOSING:
        return record.payload
    fields = HEAD.fields
    assert fields is not None
    at = int(fields["lane_seq"][1])
    own = int.from_bytes(record.payload[at : at + 8], "little") & ((1 << SEQUENCE_BITS) - 1)
    return record.payload[:at] + own.to_bytes(8, "little") + record.payload[at + 8 :]
