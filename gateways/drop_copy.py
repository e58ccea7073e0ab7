"""The drop-copy door: every execution of chosen accounts, streamed to compliance clients that only listen.

A client logs on with Username (553) and Password (554), the id and secret of a key of the section "drop_copy" in
credentials.json, and with the key's CompID. It hears an ExecutionReport with CopyMsgIndicator (797=Y) for each event of
an order of its accounts, whichever door the order came by: the same report, with the same ExecID (17), as the client
of that door is sent. Events that changed nothing, and refused cancels, are not executions.

Always holds here:
- The position in the log is stored with the reports made of it, in one append of the session's store, before a byte
  leaves. So after a kill -9 nothing is lost or doubled, and no sequence number is used for two things.
- The log is the queue: a session that is away, or does not read, is read for no further than its socket takes; when it
  is back it gets by a resend what was stored, and then what the log has. A client that takes nothing for SLOW_NS is
  cut off.
- A session begins where the log stood when this door first saw its key, whenever the client logs on.

Must not do: touch a ring. Whatever a client asks is refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from actors.view import StateBusy, StateView
from core import events
from core.records import EventKind, ExecType
from fix.acceptor import Acceptor
from fix.codec import Message
from fix.durable import DurableSession, Outgoing, SessionKey
from fix.tags import BusinessReason, MsgType, Tag
from gateways import fix_wire
from gateways.drop_copy_keys import ALL, DropCopyKey
from gateways.identity import Credentials
from gateways.order_events import account_text_of, changed_nothing, is_echo, symbol_of
from shared_mem.log import CursorInvalid
from shared_mem.log_reader import LogReader, Record

log = logging.getLogger(__name__)

# One batch becomes one append and one write: some 100 KiB of reports at most, when all of it is the session's.
BATCH_RECORDS: Final = 256
# Records that concern a session not may pass before its cursor is stored all the same: what a restart reads again.
CURSOR_LAG_RECORDS_MAX: Final = 4096
# A client that takes nothing for so long while there is more for it is cut off: its machine may be gone, and nobody
# looks at what it has not read.
SLOW_NS: Final = 30_000_000_000
_NOWHERE: Final = 2**63 - 1


class _Stream:
    """One session's way through the log."""

    def __init__(self, key: DropCopyKey, session: DurableSession, reader: LogReader) -> None:
        self.key = key
        self.session = session
        self.reader = reader
        self.stored = reader.position
        self.passed = 0  # records since the cursor was stored
        self.stuck_since_ns = 0  # 0: it is not


# OrderCancelRejects: no executions, and nothing is different after one.
_NOT_COPIED: Final = (ExecType.CANCEL_REJECT, ExecType.REPLACE_REJECT)


class DropCopyDoor:
    """The application of the acceptor. `open_log` opens the log at a position; raises CursorInvalid."""

    def __init__(
        self,
        *,
        shard: int,
        credentials: Credentials,
        view: StateView,
        open_log: Callable[[int], LogReader],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._shard = shard
        self._credentials = credentials
        self._view = view
        self._open_log = open_log
        self._clock = clock
        self._streams: dict[str, _Stream] = {}  # by CompID; bounded by the keys
        self._texts: dict[int, str] = {}  # names of accounts, which never change; bounded by the accounts

    # --- sessions ---------------------------------------------------------------------------------------

    def attach(self, acceptor: Acceptor) -> None:
        """Opens the session of every key, and the log where each stands. Raises StoreError, LogError."""
        for key in self._credentials.drop_copies:
            session = acceptor.open_session(key.comp_id)
            self._streams[key.comp_id] = _Stream(key, session, self._opened(session))

    def admit(self, key: SessionKey, logon: Message) -> str | None:
        """The reason why this Logon is refused, or None."""
        found = self._credentials.drop_copy(logon.get(Tag.Username) or "", logon.get(Tag.Password) or "")
        if found is None:
            return "Username (553) or Password (554) is wrong; send a drop-copy key's id and its secret"
        if found.comp_id != key.target:
            return f"this key is of the session {found.comp_id!r}; log on with that SenderCompID (49)"
        if found.accounts != ALL:
            for account in found.accounts:
                if self._view.account_by_text(account) is None:
                    return f"account {account[:40]!r} of this key is not opened; open it, or take it out of the key"
        return None

    def on_logon(self, session: DurableSession) -> None:
        stream = self._streams[session.key.target]
        stream.stuck_since_ns = 0
        which = stream.key.accounts
        log.info("%s listens to %s", session.key.target, which if which == ALL else f"{len(which)} accounts")

    def on_logout(self, session: DurableSession) -> None:
        """The log waits for it."""

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        if message.type in (MsgType.Reject, MsgType.BusinessMessageReject):
            log.warning("%s refuses a message of ours: %r", session.key.target, message)
            return []
        text = f"MsgType (35) {message.type!r} is not taken: this session only listens"
        return [fix_wire.business_reject(message, BusinessReason.UNSUPPORTED_MESSAGE_TYPE, text)]

    @property
    def restarts_at(self) -> int:
        """The lowest position in the log from which a restart would read it; with no key, above any there is."""
        return min((stream.stored for stream in self._streams.values()), default=_NOWHERE)

    def close(self) -> None:
        for stream in self._streams.values():
            stream.reader.close()

    # --- out --------------------------------------------------------------------------------------------

    def pump(self) -> bool:
        """One batch of the log to each session that has room; whether there may be more. Raises LogError,
        StoreError."""
        return sum([self._pump(stream) for stream in self._streams.values()]) > 0

    def _pump(self, stream: _Stream) -> bool:
        if not stream.session.has_room:
            self._cut_off_if_stuck(stream)
            return False
        stream.stuck_since_ns = 0
        before = stream.reader.position
        records = stream.reader.read(BATCH_RECORDS)
        if not records:
            return False
        try:
            messages = [
                report for record in records if (report := self._report(stream.key, record)) is not None
            ]
        except StateBusy:
            stream.reader.position = before  # its shard is being restarted
            return False
        stream.passed += len(records)
        if messages or stream.passed >= CURSOR_LAG_RECORDS_MAX:
            stream.passed = 0
            stream.stored = stream.reader.position
            stream.session.send(messages, state=_cursor_bytes(stream.stored))
        return True

    def _cut_off_if_stuck(self, stream: _Stream) -> None:
        if not stream.session.is_logged_on or stream.reader.position >= stream.reader.end_position():
            stream.stuck_since_ns = 0
            return
        now_ns = self._clock()
        stream.stuck_since_ns = stream.stuck_since_ns or now_ns
        if now_ns - stream.stuck_since_ns >= SLOW_NS:
            log.warning("%s does not read: cut off; it goes on where it stopped", stream.key.comp_id)
            stream.stuck_since_ns = 0
            stream.session.hang_up()

    def _report(self, key: DropCopyKey, record: Record) -> Outgoing | None:
        """The copy that this session gets of a record, if it gets one."""
        if record.kind != EventKind.ORDER:
            return None
        event = events.decode(record.seq, record.time_ns, record.payload)
        account = self._account_text(event.account)
        if not key.has(account) or event.exec_type in _NOT_COPIED:
            return None
        if changed_nothing(event) or is_echo(self._view, event):
            return None
        symbol = symbol_of(self._view, event.instrument)
        msg_type, fields = fix_wire.execution_report(self._shard, event, account, symbol, None)
        return msg_type, [*fields, (Tag.CopyMsgIndicator, "Y")]

    def _account_text(self, number: int) -> str:
        text = self._texts.get(number)
        if text is None:
            text = account_text_of(self._view, number)
            if text != fix_wire.NO_ID:
                self._texts[number] = text
        return text

    def _opened(self, session: DurableSession) -> LogReader:
        """Where its cursor stands; a new session's is the log's end, from now on."""
        if session.state:
            position = int.from_bytes(session.state, "little")
            try:
                return self._open_log(position)
            except CursorInvalid as error:
                log.error("%s: %s. It goes on at the log's end", session.key.target, error)
        reader = self._open_log(0)
        reader.position = reader.end_position()
        session.send([], state=_cursor_bytes(reader.position))
        return reader


def _cursor_bytes(position: int) -> bytes:
    return position.to_bytes(8, "little")
