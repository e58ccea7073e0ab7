"""The network between the desk and its venue: connections whose bytes come late, in pieces, or not at all.

Within a connection bytes keep their order, as TCP has it. It can end at any byte, for both sides or for one of them
alone (half-open); nothing gets through while there is a partition. A bad middlebox loses, doubles and reorders whole
messages, which TCP does not, and which the FIX session has to bear all the same.

Always holds: what one side wrote comes to the other in one piece and order up to the end of the connection, unless a
middlebox is at work.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from fix.durable import DurableSession
from tests.simulation.world import MS, S, World

_BEGIN: Final = b"8=FIX"
_END: Final = None  # in a queue: the connection's end
# How long bytes are under way.
DELAY_NS_MAX: Final = 5 * MS
# After a machine's power cut the other side is told when it sends something to the one that is back.
TOLD_NS_MAX: Final = 20 * S


class Owner(Protocol):
    """Whose connection it is."""

    def received(self, end: End, data: bytes) -> None: ...

    def lost(self, end: End) -> None: ...


class End:
    """One side of a connection: `fix.durable.Wire`, and what an acceptor wants of it besides."""

    def __init__(self, network: Network, owner: Owner, is_desks: bool) -> None:
        self._network = network
        self.owner = owner
        self.is_desks = is_desks
        self.peer: End
        self.session: DurableSession | None = None
        self.is_open = True  # may be written to
        self.is_lost = False  # its owner knows that it is over
        self.is_abandoned = False  # its owner is dead
        self._reads = True
        self.incoming: deque[tuple[int, bytes | None]] = deque()  # (due, bytes)
        self._last_due_ns = 0

    # --- the session's side ---------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self.is_open and data:
            self._network.sent(self, data)

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.peer.put(_END)
            self._network.tell_soon(self)

    def abort(self) -> None:
        if self.is_open:
            self.is_open = False
            self.peer.cut_short()
            self._network.tell_soon(self)

    def buffered(self) -> int:
        return sum(len(data) for _, data in self.peer.incoming if data is not None)

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True

    # --- the network's side ---------------------------------------------------------------------------

    def put(self, data: bytes | None) -> None:
        world = self._network.world
        self._last_due_ns = max(self._last_due_ns, world.now_ns + world.rng.randrange(DELAY_NS_MAX))
        self.incoming.append((self._last_due_ns, data))

    def cut_short(self) -> None:
        """The bytes under way end at any one of them, and so does the connection."""
        rng = self._network.world.rng
        kept: deque[tuple[int, bytes | None]] = deque()
        for due, data in self.incoming:
            if data is None:
                break
            if rng.random() < 0.5:
                kept.append((due, data[: rng.randrange(len(data) + 1)]))
                break
            kept.append((due, data))
        self.incoming = kept
        self.put(_END)

    @property
    def is_due(self) -> bool:
        if self.is_lost or self.is_abandoned or not self.incoming:
            return False
        due, data = self.incoming[0]
        return due <= self._network.world.now_ns and (self._reads or data is None)


class Network:
    """`fragments`: how often a piece ends within a message. `mangles`: how often the middlebox touches one."""

    def __init__(self, world: World, fragments: float) -> None:
        self.world = world
        self._fragments = fragments
        self.mangles = 0.0
        self.is_parted = False
        self.ends: list[End] = []
        self.tap_desk: list[bytes] = []  # what left the desk, message by message, for the auditor
        self.tap_venue: list[bytes] = []

    def connect(self, desk: Owner, venue: Owner) -> End:
        """The desk's end. The venue's owner learns of it by the first bytes."""
        ours, theirs = End(self, desk, True), End(self, venue, False)
        ours.peer, theirs.peer = theirs, ours
        self.ends = [end for end in self.ends if not (end.is_lost or end.is_abandoned)]
        self.ends += (ours, theirs)
        return ours

    def sent(self, end: End, data: bytes) -> None:
        messages = _messages(data)
        (self.tap_desk if end.is_desks else self.tap_venue).extend(messages)
        for message in self._mangled(messages) if self.mangles else messages:
            end.peer.put(message)

    def deliver(self) -> bool:
        """One piece to one side; False when nothing is due."""
        due = [end for end in self.ends if end.is_due]
        if self.is_parted or not due:
            return False
        end = self.world.rng.choice(due)
        _, data = end.incoming.popleft()
        if data is None:
            end.is_open = False
            self.tell(end)
            return True
        if len(data) > 1 and self.world.chance(self._fragments):
            at = self.world.rng.randrange(1, len(data))
            end.incoming.appendleft((self.world.now_ns, data[at:]))
            data = data[:at]
            self.world.saw("a message comes in pieces")
        end.owner.received(end, data)
        return True

    def tell_soon(self, end: End) -> None:
        self.world.later(self.world.rng.randrange(MS), lambda: self.tell(end))

    def tell(self, end: End) -> None:
        """The end's owner learns that the connection is over."""
        if not end.is_lost and not end.is_abandoned:
            end.is_lost, end.is_open = True, False
            end.owner.lost(end)

    # --- what goes wrong --------------------------------------------------------------------------------

    def cut(self, half_open: bool) -> None:
        """The present connections end, for both sides or for one alone, which then hears no more of the other."""
        whole = [e for e in self.ends if e.is_desks and e.is_open and e.peer.is_open and not e.is_abandoned]
        for end in whole:
            self.world.saw("a half-open line" if half_open else "a line is cut")
            sides = [end, end.peer]
            if half_open:
                deaf = sides.pop(self.world.rng.randrange(2))
                deaf.incoming.clear()
                deaf.peer.incoming.clear()
            for side in sides:
                side.is_open = False
                side.cut_short()

    def owner_died(self, owner: Owner, machine: bool) -> None:
        """The kernel ends its connections; of a machine without power nobody does."""
        for end in [end for end in self.ends if end.owner is owner and not end.is_abandoned]:
            end.is_abandoned, end.is_open = True, False
            end.incoming.clear()
            if not machine:
                end.peer.cut_short()
            else:
                end.peer.incoming.clear()
                peer = end.peer
                self.world.later(self.world.rng.randrange(TOLD_NS_MAX), lambda peer=peer: self.tell(peer))  # type: ignore[misc]

    def _mangled(self, messages: list[bytes]) -> list[bytes]:
        world = self.world
        found: list[bytes] = []
        for message in messages:
            if not world.chance(self.mangles):
                found.append(message)
                continue
            does = world.rng.randrange(3)
            world.saw(("a message is lost", "a message is doubled", "messages change places")[does])
            if does == 1:
                found += (message, message)
            elif does == 2:
                found.insert(max(0, len(found) - 1), message)
        return found


def _messages(data: bytes) -> list[bytes]:
    """What is written at once is whole messages."""
    return [_BEGIN + each for each in data.split(_BEGIN)[1:]]
