"""A wire that lets bytes leave only when they may: the owner's lease holds, and a standby has what they stand for.

    messages ──▶ the store's append ──▶ held here ──▶ the standby has the append ──▶ the socket

Always holds:
- Bytes leave in the order in which they were written, each after the whole of the store's appends that came before it
  is on the standby (gate `replicated`). So the standby's store knows every number that the peer has seen, and the next
  owner never gives one out again for another message.
- The lease is looked at before each write to the socket. Once it is over nothing leaves: LeaseOver ends the process.
- Nothing waits without bound: what is held counts as buffered, and a session cuts a peer off at its bound.

Must not know what a message says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from fix.durable import Wire
from shared_mem.lease import require
from shared_mem.log import Tail

Place = tuple[int, int]
"""In a store: the number of a segment, and its bytes."""

# When what is held is looked at again: a standby takes a network's round trip and a disk's sync. One that is away is
# waited for at a slower pace.
HELD_S_MIN: Final = 0.0005
HELD_S_MAX: Final = 0.05


class Guard:
    """What the wires of one session ask. `shipped`: how far the standby has the store, and `ask` says that more is
    there to be shipped; None at the other gates. `later` calls a function after seconds."""

    def __init__(
        self,
        tail: Tail,
        place: Callable[[], Place],
        shipped: Callable[[], Place] | None,
        ask: Callable[[], None],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.tail = tail
        self.place = place
        self.shipped = shipped
        self.ask = ask
        self.later = later


class GuardedWire:
    """One connection's wire, guarded."""

    def __init__(self, wire: Wire, guard: Guard, end_with: Callable[[BaseException], None]) -> None:
        self._wire = wire
        self._guard = guard
        self._end_with = end_with
        self._held: deque[tuple[Place, bytes]] = deque()
        self._held_bytes = 0
        self._waits = False
        self._pause_s = HELD_S_MIN
        self._closes = False
        self._is_gone = False

    def write(self, data: bytes) -> None:
        if not data or self._is_gone:
            return
        require(self._guard.tail)
        if self._guard.shipped is None:
            self._wire.write(data)
            return
        self._held.append((self._guard.place(), data))
        self._held_bytes += len(data)
        self._guard.ask()
        self._release()

    def close(self) -> None:
        self._closes = True
        if not self._held:
            self._wire.close()

    def abort(self) -> None:
        self._is_gone = True
        self._held.clear()
        self._held_bytes = 0
        self._wire.abort()

    def buffered(self) -> int:
        return self._wire.buffered() + self._held_bytes

    def pause_reading(self) -> None:
        self._wire.pause_reading()

    def resume_reading(self) -> None:
        self._wire.resume_reading()

    def _release(self) -> None:
        """Write what the standby has; look again soon for the rest."""
        assert self._guard.shipped is not None
        shipped = self._guard.shipped()
        ready: list[bytes] = []
        while self._held and self._held[0][0] <= shipped:
            ready.append(self._held.popleft()[1])
        if ready:
            require(self._guard.tail)
            data = b"".join(ready)
            self._held_bytes -= len(data)
            self._wire.write(data)
        if self._held and not self._waits:
            self._waits = True
            self._pause_s = HELD_S_MIN if ready else min(2 * self._pause_s, HELD_S_MAX)
            self._guard.later(self._pause_s, self._again)
        if not self._held and self._closes and not self._is_gone:
            self._wire.close()

    def _again(self) -> None:
        self._waits = False
        if self._is_gone:
            return
        try:
            self._release()
        except Exception as error:  # whatever it is, nothing may leave after it: the process must end
            self._end_with(error)
