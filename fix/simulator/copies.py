"""The exchange's drop copy: what a member is told of its orders, told once more on a session of its own.

The session NAME-DC has copies of the ExecutionReports that the member NAME gets from its first Logon on, in the same
order, with CopyMsgIndicator (797=Y). What is to be copied is read from the member's own store, and how far that was
done is kept in the copy's, in one append with the copies: after a kill -9 each report is copied exactly once, also
one that was stored for the member and never left. A report with PossResend (97=Y) was told before, and is left out.

Always holds: a copy session only listens; whatever it sends is refused.
Must not do: keep a member's messages back, or be the exchange's memory (`fix/simulator/recovery.py` passes it over).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Final

from fix.durable import DurableSession, Outgoing
from fix.simulator.copy_faults import CopyFaults
from fix.simulator.messages import answer_of, outgoing
from fix.simulator.orders import Report
from fix.store import StoreError
from fix.tags import Tag

SUFFIX: Final = "-DC"
# Copies in one append and one turn of the loop: the members' orders come between.
COPIES_MAX: Final = 512

# The count of resets of the member's session, and the number of its first message that is not yet copied.
_LAYOUT: Final = struct.Struct("<IQ")


def is_copy(comp_id: str) -> bool:
    return comp_id.endswith(SUFFIX)


class DropCopies:
    """`session_of` finds a session by its CompID; `fail` is told of an error that must end the process."""

    def __init__(
        self,
        session_of: Callable[[str], DurableSession | None],
        fail: Callable[[BaseException], None],
        faults: CopyFaults | None = None,
    ) -> None:
        self._session_of = session_of
        self._fail = fail
        self._faults = faults
        self._sessions: list[DurableSession] = []
        self._soon: asyncio.Handle | None = None

    def take_up(self, session: DurableSession) -> None:
        """A copy session that has logged on, now or in an earlier life. Raises StoreError."""
        if session not in self._sessions:
            self._sessions.append(session)
        if not session.state:
            member = self._member_of(session)
            start = (0, 1) if member is None else (member.generation, member.next_out)
            session.send([], state=_LAYOUT.pack(*start))

    def copy_soon(self) -> None:
        """Something was told, or is about to be: copies it in the loop's next turn."""
        if self._sessions and self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._copy_and_go_on)

    def copy(self) -> bool:
        """A piece for each copy session; whether there is more. Raises StoreError."""
        return sum(self._copy_to(session) for session in self._sessions) > 0

    def _copy_and_go_on(self) -> None:
        self._soon = None
        try:
            if self.copy():
                self.copy_soon()
        except StoreError as error:
            self._fail(error)

    def _copy_to(self, session: DurableSession) -> bool:
        member = self._member_of(session)
        if member is None:
            return False
        generation, begin = _LAYOUT.unpack(session.state)
        if generation != member.generation:
            begin = 1
        messages: list[Outgoing] = []
        for seq, message in member.sent_from(begin):
            begin = seq + 1
            answer = answer_of(message, member.key.target)
            if isinstance(answer, Report) and message.get(Tag.PossResend) != "Y":
                messages += self._told(answer)
            if len(messages) >= COPIES_MAX:
                break
        state = _LAYOUT.pack(member.generation, begin)
        if state != session.state:
            session.send(messages, state=state)
        return len(messages) >= COPIES_MAX

    def _told(self, report: Report) -> list[Outgoing]:
        reports = [report] if self._faults is None else self._faults.told(report)
        copies: list[Outgoing] = []
        for each in reports:
            msg_type, fields = outgoing(each)
            copies.append((msg_type, [*fields, (int(Tag.CopyMsgIndicator), "Y")]))
        return copies

    def _member_of(self, session: DurableSession) -> DurableSession | None:
        return self._session_of(session.key.target.removesuffix(SUFFIX))
