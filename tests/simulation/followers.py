"""What follows the log: a projector with its cursor in the store's own transaction, a publisher to a stream that drops
repeats, a consumer of that stream behind a network that loses, doubles and reorders, and the replica that makes
snapshots.

The log's reader, its cursor file, the replica and the snapshot file are the real ones. The two servers are models:
`Postgres` commits all of a transaction or nothing, `Stream` keeps a message once within its window and only behind the
one that it is said to follow, as JetStream does with Nats-Msg-Id and an expected last sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple

from actors.replay import ReplayDiverged, Replica
from actors.snapshot import SnapshotError, read_file, restore, state_hash, take, write_file
from core import events
from core.events import Event
from core.records import EventKind
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import KIND_CLOSING, CursorInvalid, Gate, Reader
from shared_mem.log_reader import LogReader
from shared_mem.segment import SegmentError
from tests.simulation.hosts import Host, Machine
from tests.simulation.shard_host import CAPACITY, SEGMENT_BYTES, log_dir, snapshot_path
from tests.simulation.world import Broken, S

# Nats-Msg-Id is known again for so long.
DEDUP_NS: Final = 120 * S
CURSORS: Final = "cursors"


class LogHost(Host):
    """A process with a reader of the log. `gate`: how far it reads."""

    reader_name: ClassVar[Reader]
    gate: Gate = Gate.SYNCED

    def may_start(self) -> bool:
        try:
            self._opened(0).close()
        except SegmentError:
            return False
        return True

    def _opened(self, position: int) -> LogReader:
        return LogReader(log_dir(self.machine), self.machine.run, self.reader_name, position, self.gate)

    def open_at(self, position: int) -> None:
        try:
            self.reader = self._opened(position)
        except CursorInvalid as error:
            raise Broken(f"{self.name} was ahead of the disk: {error}") from error

    def end(self, machine: bool) -> None:
        if "reader" in self.__dict__:
            self.reader.close()
            del self.reader

    @property
    def is_quiet(self) -> bool:
        return self.reader.position == self.reader.end_position()


@dataclass
class Postgres:
    """What a transaction has committed."""

    position: int = 0
    seq: int = 0
    orders: dict[int, Event] = field(default_factory=dict)
    applied: list[int] = field(default_factory=list)  # the events, by seq, in the order of their transactions


class Projector(LogHost):
    name: ClassVar[str] = "projector"
    reader_name = Reader.VENUE_COPY

    def __init__(self, machine: Machine, store: Postgres) -> None:
        super().__init__(machine)
        self.store = store

    def begin(self) -> None:
        self.open_at(self.store.position)

    def project(self) -> None:
        records = self.reader.read(self.world.rng.choice((1, 8, 64)))
        if not records or self.world.chance(0.05):
            self.reader.position = self.store.position  # a transaction that is rolled back
            return
        for record in records:
            if record.kind < KIND_CLOSING:
                continue
            event = events.decode(record.seq, record.time_ns, record.payload)
            self.store.applied.append(event.seq)
            if event.kind == EventKind.ORDER and event.order_id:
                self.store.orders[event.order_id] = event
        self.store.position, self.store.seq = records[-1].next_position, records[-1].seq
        self.world.note(f"projector at {self.store.seq}")


class Message(NamedTuple):
    seq: int
    prior: int


class Stream:
    """As JetStream: each message once, each behind the one it follows."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._known: dict[int, int] = {}  # id -> when it came

    @property
    def last(self) -> int:
        return self.messages[-1].seq if self.messages else 0

    def put(self, message: Message, now_ns: int) -> bool:
        """False: refused, for it does not follow the last one."""
        if now_ns - self._known.get(message.seq, -DEDUP_NS) < DEDUP_NS:
            return True
        if message.prior != self.last:
            return False
        self.messages.append(message)
        self._known[message.seq] = now_ns
        return True


class Publisher(LogHost):
    """services/publisher.py in short: the cursor file says where in the log to go on, the stream what it has."""

    name: ClassVar[str] = "publisher"
    reader_name = Reader.PUBLISHER

    def __init__(self, machine: Machine, stream: Stream) -> None:
        super().__init__(machine)
        self.stream = stream

    def begin(self) -> None:
        self._cursor = CursorFile(self.machine.data / CURSORS, "publisher")
        at = self._cursor.load()
        if at.seq > self.stream.last:
            raise Broken(f"publisher's cursor stands at {at.seq}, the stream ends at {self.stream.last}")
        self._prior = at.seq
        self._wire: list[tuple[Message, int]] = []
        self.open_at(at.position)

    def end(self, machine: bool) -> None:
        super().end(machine)
        if "_cursor" in self.__dict__:
            self._cursor.close()
            del self._cursor

    def publish(self) -> None:
        for _ in range(self.world.rng.choice((1, 4, 16))):
            self._publish_one()

    def _publish_one(self) -> None:
        """Reads a little, or brings one message to the stream; the answer may be lost."""
        world = self.world
        if not self._wire or (len(self._wire) < 8 and world.chance(0.4)):
            for record in self.reader.read(world.rng.choice((1, 4, 16))):
                if record.kind >= KIND_CLOSING:
                    if record.seq > self.stream.last or world.chance(0.5):
                        self._wire.append((Message(record.seq, self._prior), record.next_position))
                    self._prior = record.seq
            return
        at = world.rng.randrange(len(self._wire)) if world.chance(0.1) else 0
        message, position = self._wire[at]
        if world.chance(0.05):
            world.saw("a publication is lost")
            self._again()
            return
        known = message.seq <= self.stream.last
        if not known and not self.stream.put(message, world.now_ns):
            world.saw("a publication comes too early")
            self._again()
            return
        if world.chance(0.05):
            world.saw("an acknowledgement is lost")
            self._again()
            return
        del self._wire[at]
        if at == 0:
            self._cursor.save(Cursor(position, message.seq))

    def _again(self) -> None:
        """As after a connection that was lost: from the cursor on."""
        at = self._cursor.load()
        self._wire.clear()
        self._prior, self.reader.position = at.seq, at.position

    @property
    def is_quiet(self) -> bool:
        return super().is_quiet and not self._wire


class Consumer:
    """Takes the stream's messages from a network that loses, doubles and reorders them; keeps a high-water mark."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.done: list[int] = []
        self._under_way: list[Message] = []

    def consume(self, host: Host) -> None:
        world = host.world
        mark = self.done[-1] if self.done else 0
        if not self._under_way:
            start = len(self.done)
            self._under_way = self._stream.messages[start : start + 4]
            return
        message = self._under_way[world.rng.randrange(len(self._under_way)) if world.chance(0.2) else 0]
        if not world.chance(0.2):
            self._under_way.remove(message)
        if message.seq <= mark:
            world.saw("the consumer passes a repeat over")
        elif message.prior != mark:
            world.saw("the consumer sees a gap")
            self._under_way.clear()
        elif world.chance(0.1):
            world.saw("a delivery is lost")
        else:
            self.done.append(message.seq)

    @property
    def is_quiet(self) -> bool:
        return len(self.done) == len(self._stream.messages)


class Snapshots(LogHost):
    """app/roles/snapshots.py with the local file alone."""

    name: ClassVar[str] = "snapshots"
    reader_name = Reader.SNAPSHOTS

    def begin(self) -> None:
        self.replica = Replica(CAPACITY, SEGMENT_BYTES)
        try:
            snapshot = read_file(snapshot_path(self.machine))
            if snapshot is not None:
                restore(snapshot, self.replica.state)
        except SnapshotError as error:
            raise Broken(f"a snapshot that was stored whole can't be used: {error}") from error
        self.open_at(self.replica.position)

    def snapshot(self) -> None:
        self.follow()
        snapshot = take(self.replica.state)
        if snapshot.seq:
            write_file(snapshot_path(self.machine), snapshot)
            self.world.saw("a snapshot")
            self.world.note(f"snapshot at {snapshot.seq}, state {snapshot.state_hash}")

    def follow(self) -> None:
        try:
            self.replica.follow(self.reader)
        except ReplayDiverged as error:
            raise Broken(f"the replica diverges: {error}") from error

    def end(self, machine: bool) -> None:
        super().end(machine)
        self.__dict__.pop("replica", None)

    @property
    def state_hash(self) -> str:
        self.follow()
        return state_hash(self.replica.state)
