"""The log, as the gateway follows it: every order event, in order, to whoever asked for it.

It begins at the log's end. Nothing can be missed by that: the place is noted before the first request is
served, and a position in the log, once passed, does not move. What happened before is asked from the state.
Always holds here: a listener sees an event only after the log has it at the gate. A listener must return at
once.
Must not do: block the loop for longer than one batch.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from typing import Final

from core import events
from core.event_layouts import EVENT
from core.events import Event
from core.records import EventKind
from shared_mem.log_reader import LogReader

# Records between two looks at the loop's other work: some 5 ms at most.
BATCH_RECORDS: Final = 256

# The first fields of core.event_layouts.EVENT: enough to tell whether anyone here waits for the event, without
# decoding the rest.
_HEAD: Final = struct.Struct("<HHHHIIQ")
assert EVENT.fields is not None
assert [EVENT.fields[name][1] for name in ("source", "account", "request_id")] == [2, 8, 16]

Wants = Callable[[int, int, int], bool]
"""(source, request_id, account) -> whether the listener asks for events of theirs."""

Listener = Callable[[Event], None]

log = logging.getLogger("tradewind.gateway")


class LogFeed:
    """One reader on the loop. `on_failure` is called once, when the log can't be read on."""

    def __init__(self, reader: LogReader, on_failure: Callable[[BaseException], None]) -> None:
        self._reader = reader
        self._on_failure = on_failure
        self._listeners: list[tuple[Wants, Listener]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        reader.position = reader.end_position()

    def listen(self, wants: Wants, listener: Listener) -> None:
        """To be called before `start`."""
        self._listeners.append((wants, listener))

    def start(self) -> None:
        """Follow, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reader.fileno(), self._woken)
        self._woken()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._reader.fileno())
            self._loop = None
        self._reader.close()

    def _woken(self) -> None:
        self._reader.wake()
        self._drain()

    def _drain(self) -> None:
        """One batch; then again by way of the loop, until there is nothing and the reader may sleep."""
        if self._loop is None:
            return
        try:
            more = self._deliver()
            if not more:
                self._reader.park()
                more = self._deliver()  # whatever came between the last read and the flag
        # Any failure ends the feed: an order whose answer is never seen must not look like a slow one.
        except Exception as failure:
            log.critical("the log can't be followed any more", exc_info=failure)
            self._loop.remove_reader(self._reader.fileno())
            self._loop = None
            self._on_failure(failure)
            return
        if more:
            self._loop.call_soon(self._drain)

    def _deliver(self) -> bool:
        records = self._reader.read(BATCH_RECORDS)
        for record in records:
            if record.kind != EventKind.ORDER:
                continue
            _kind, source, _text, _code, account, _instrument, request_id = _HEAD.unpack_from(record.payload)
            asking = [listener for wants, listener in self._listeners if wants(source, request_id, account)]
            if not asking:
                continue
            event = events.decode(record.seq, record.time_ns, record.payload)
            for listener in asking:
                listener(event)
        return bool(records)
