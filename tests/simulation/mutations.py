"""Deliberate bugs: each breaks one promise of the real code, and the simulation has to find it.

They are put in for the time of a test (`MUTATIONS[name]()` is a context manager) and change no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import fix.store
import shared_mem.log_folder
import shared_mem.log_recovery
import shared_mem.log_writer
import tests.simulation.fix_hosts
from core import ids
from fix.durable import DurableSession, Outgoing
from fix.order_router import OrderRouter, cursor_bytes
from fix.session import Sent
from fix.store import Store
from shared_mem import ring
from shared_mem.flusher import Flusher
from shared_mem.log import RECORD_HEADER_BYTES, SYNCED, WRITTEN_SEQ, Gate, Reader, Tail, scan
from shared_mem.log_reader import LogReader
from shared_mem.log_recovery import End, find_end
from tests.simulation.followers import Projector

Mutation = Callable[[], AbstractContextManager[Any]]


def _reads_at_written(name: Reader) -> Mutation:
    """A reader that does not wait for the gate."""

    @contextmanager
    def mutation() -> Iterator[None]:
        real = LogReader.__init__

        def opened(
            self: LogReader,
            log_dir: Path,
            run_dir: Path,
            reader: Reader,
            position: int = 0,
            gate: Gate = Gate.WRITTEN,
        ) -> None:
            real(self, log_dir, run_dir, reader, position, Gate.WRITTEN if reader is name else gate)

        with patch.object(LogReader, "__init__", opened):
            yield

    return mutation


def _no_sync(self: Flusher, fd: int) -> None:
    """The flusher forgets fdatasync."""


def _synced_too_early(self: Flusher) -> int:
    """SYNCED moves before the disk has it."""
    self._tail.set_word(SYNCED, self._tail.written)
    return 0


def _cursor_first(self: OrderRouter, session: DurableSession, records: list[Any]) -> None:
    """The router's cursor is stored before, and not with, the messages that are made of what lies behind it."""
    session.send([], state=cursor_bytes(records[-1].next_position))
    _ROUTE(self, session, records)


_ROUTE: Final = OrderRouter.route


def _messages_first(self: OrderRouter, session: DurableSession) -> None:
    """The messages go out in an append of their own, and the cursor follows."""
    real = session.send

    def in_two(messages: Sequence[Outgoing], state: bytes | None = None) -> None:
        real(messages)
        real([], state)

    with patch.object(session, "send", in_two):
        _PUSH(self, session)


_PUSH: Final = OrderRouter.push


def _bytes_before_the_store(self: DurableSession) -> None:
    """A message leaves before it is stored."""
    outgoing = self._session.take_outgoing()
    if outgoing:
        self._write(outgoing)
    self._session._outgoing = list(outgoing)
    wire, self._wire = self._wire, None
    try:
        _COMMIT(self)
    finally:
        self._wire = wire


_COMMIT: Final = DurableSession._commit


def _taken_before_pushed(self: OrderRouter, session: DurableSession, message: Any) -> list[Outgoing]:
    """A report counts as taken before it stands in the ring."""
    session._store.append(session._session.next_in, ())
    return _ON_MESSAGE(self, session, message)


_ON_MESSAGE: Final = OrderRouter.on_message


@contextmanager
def _numbers_again() -> Iterator[None]:
    """What the lost tail had numbered is numbered again."""
    real = find_end

    def lowered(log_dir: Path, segment_bytes: int) -> End:
        end = real(log_dir, segment_bytes)
        left_out = segment_bytes // RECORD_HEADER_BYTES
        return end._replace(next_seq=end.next_seq - left_out) if end.next_seq > 1 else end

    with (
        patch.object(shared_mem.log_writer, "find_end", lowered),
        patch.object(shared_mem.log_writer, "numbered_from", lambda _: 0),
    ):
        yield


@contextmanager
def _half_a_group() -> Iterator[None]:
    """A torn tail is cut behind its last record, though the group of it is not whole."""
    real = scan

    def walked(*args: Any) -> tuple[int, int, int, int, int]:
        at, seq, epoch, closed, _ = real(*args)
        return at, seq, epoch, at if closed >= 0 else closed, seq

    with patch.object(shared_mem.log_recovery, "scan", walked):
        yield


def _last_word(self: Tail) -> int:
    """A writer that died while it published is not looked for."""
    return self.word(WRITTEN_SEQ)


def _unsynced(self: Store, folder: Path, sync: bool = False) -> None:
    """The session's store forgets fdatasync."""
    _STORE(self, folder, False)


_STORE: Final = Store.__init__


def _number_again(self: Store, next_in: int, messages: Sequence[Sent], state: bytes | None = None) -> None:
    """The store remembers only every other message."""
    _APPEND(self, next_in, messages[: len(messages) // 2 * 2], state)
    self.next_out += len(messages) % 2


_APPEND: Final = Store.append


def _renamed_unsynced(path: Path, content: bytes) -> None:
    """A file gets its name before the disk has it."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.rename(path)


def _cursor_before_apply(self: Projector) -> None:
    """A follower's cursor is committed before what it stands for."""
    records = self.reader.read(8)
    if records:
        self.store.position = records[-1].next_position
        if self.world.chance(0.02):
            return  # here it dies
        self.reader.position = records[0].position
        self.store.position = records[0].position
        _PROJECT(self)


_PROJECT: Final = Projector.project


def _of(owner: Any, name: str, value: Any) -> Mutation:
    return lambda: patch.object(owner, name, value)


MUTATIONS: Final[dict[str, Mutation]] = {
    "ack-before-the-gate": _reads_at_written(Reader.GATEWAY),
    "route-before-the-gate": _reads_at_written(Reader.FIX),
    "follow-before-the-gate": _reads_at_written(Reader.PUBLISHER),
    "no-fdatasync": _of(Flusher, "_sync", _no_sync),
    "synced-too-early": _of(Flusher, "flush", _synced_too_early),
    "no-fdatasync-in-the-store": _of(Store, "__init__", _unsynced),
    "router-cursor-first": _of(OrderRouter, "route", _cursor_first),
    "router-messages-first": _of(OrderRouter, "push", _messages_first),
    "sent-before-stored": _of(DurableSession, "_commit", _bytes_before_the_store),
    "taken-before-pushed": _of(OrderRouter, "on_message", _taken_before_pushed),
    "no-rewind-after-lost-memory": _of(tests.simulation.fix_hosts, "expect_from", lambda *_: None),
    "numbers-given-out-again": _numbers_again,
    "numbers-of-the-last-cut-alone": _of(shared_mem.log_writer, "numbered_from", lambda _: 0),
    "half-a-group-kept": _half_a_group,
    "publication-not-looked-at": _of(Tail, "written_seq", property(_last_word)),
    "commands-taken-again": _of(ring, "skip_through", lambda *_: None),
    "fills-booked-twice": _of(ids, "exec_hash", lambda _: 0),
    "store-trusted-as-found": _of(fix.store, "_make_durable", lambda *_: None),
    "log-number-without-a-sync": _of(shared_mem.log_folder, "write_durably", _renamed_unsynced),
    "follower-cursor-first": _of(Projector, "project", _cursor_before_apply),
}
