"""The outbox: what one request means for others than who sent it, until all have been told.

A trade has two sides, in two sessions with a store each, and a kill -9 may come between the two appends. So
the others' reports are written here first, with the message that caused them. Their fact is the append of that
message and its answers to the store of its own session: what stands here without it never happened, and its
message comes again; what stands here with it is told to whoever has not been told. What no message caused (the
market moved, and a stop order met another member's) is a fact once it stands here.

Always holds: a report that stands here is sent to its owner exactly once, or its cause was never taken. Only
the newest groups are read at a start: `delivered` marks what everyone has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from fix.codec import encode, parse
from fix.durable import DurableSession
from fix.session import Sent
from fix.simulator.messages import answer_of, outgoing
from fix.simulator.orders import Answer, Report
from fix.store import Store
from fix.tags import Tag

# Not the name of a session: a CompID begins with a letter or a digit.
FOLDER: Final = "_outbox"
# One append is bounded; a group of more reports (an auction) takes several.
REPORTS_PER_APPEND: Final = 4_096

CAUSE_GENERATION: Final = 20010
_NOBODY: Final = "-"


class Cause(NamedTuple):
    """The message that caused it: its session's CompID, MsgSeqNum and count of resets."""

    owner: str
    seq: int
    generation: int


class Kept(NamedTuple):
    cause: Cause | None
    report: Report


class Outbox:
    """In `folder`, beside the sessions' stores. Raises StoreError."""

    def __init__(self, folder: Path, sync: bool = False) -> None:
        self._store = Store(folder / FOLDER, sync)

    def put(self, cause: Cause | None, answers: Iterable[Answer]) -> None:
        """Keeps a group. Durable when it returns."""
        raws = [_written(cause, answer) for answer in answers]
        for at in range(0, len(raws), REPORTS_PER_APPEND):
            begin = self._store.next_out
            piece = raws[at : at + REPORTS_PER_APPEND]
            self._store.append(1, [Sent(begin + i, raw, False, False) for i, raw in enumerate(piece)])

    def delivered(self) -> None:
        """All that was put has been told to its owners and is in their stores."""
        self._store.append(1, (), state=self._store.next_out.to_bytes(8, "little"))

    def undelivered(self) -> Iterator[Kept]:
        """What may not have been told yet, in the order in which it was put."""
        begin = int.from_bytes(self._store.state, "little") or 1
        for stored in self._store.read(begin, self._store.next_out - 1):
            yield _read(stored.raw)

    def close(self) -> None:
        self._store.close()


def cause_of(session: DurableSession, seq: int) -> Cause:
    return Cause(session.key.target, seq, session.generation)


def _written(cause: Cause | None, answer: Answer) -> bytes:
    msg_type, fields = outgoing(answer)
    owner, seq, generation = cause or (_NOBODY, 1, 0)
    head = [
        (int(Tag.MsgType), msg_type),
        (int(Tag.SenderCompID), owner),
        (int(Tag.TargetCompID), answer.owner),
    ]
    head += [(int(Tag.MsgSeqNum), str(seq)), (CAUSE_GENERATION, str(generation))]
    return encode("FIX.4.4", [*head, *fields])


def _read(raw: bytes) -> Kept:
    message = parse(raw)
    report = answer_of(message, message.require(Tag.TargetCompID))
    assert isinstance(report, Report), "only reports of orders are for others"
    owner = message.require(Tag.SenderCompID)
    if owner == _NOBODY:
        return Kept(None, report)
    return Kept(Cause(owner, message.seq, int(message.require(CAUSE_GENERATION))), report)
