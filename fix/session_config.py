"""Who talks to whom in a session, in which version of FIX, and how strictly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from fix.codec import Field, Framer, Message
from fix.session_state import Role
from fix.timestamps import NS_PER_S

# A peer that connects and stays silent holds a connection: QuickFIX's LogonTimeout.
LOGON_TIMEOUT_NS: Final = 10 * NS_PER_S
# After our Logout the peer has so long to answer: QuickFIX's LogoutTimeout.
LOGOUT_TIMEOUT_NS: Final = 2 * NS_PER_S
# SendingTime further off than this means a wrong clock or a replayed message: QuickFIX's MaxLatency.
SENDING_TIME_SKEW_NS_MAX: Final = 120 * NS_PER_S


class Framing(Protocol):
    """Cuts a stream into messages: `fix.codec.Framer`, or `fix.quickfix_framing.QuickFixFramer`."""

    garbled: int

    def feed(self, data: bytes) -> None: ...

    def next_frame(self) -> bytes | None: ...

    def rest(self) -> bytes: ...

    def emptied(self) -> Framing: ...


class Checks(Protocol):
    """Looks at a message for its dictionary's sake: `fix.validation.Validator`. Raises Violation."""

    def check(self, message: Message) -> None: ...


@dataclass(frozen=True)
class SessionConfig:
    """Who we are (`sender`), who the peer is (`target`), and how we log on. `logon_fields`: 553, 554 and
    such. `sign`: the fields of a Logon that depend on its own MsgSeqNum (34) and SendingTime (52)."""

    sender: str
    target: str
    role: Role
    begin_string: str = "FIX.4.4"
    heartbeat_s: int = 30  # asked for by an initiator; an acceptor takes what the Logon says
    logon_fields: tuple[Field, ...] = ()
    sign: Callable[[int, str], tuple[Field, ...]] | None = None
    header_fields: tuple[Field, ...] = ()  # in the header of every message: 50, 57, such
    time_digits: int = 3  # of the fraction of a second in SendingTime: 0, 3, 6 or 9
    # FIXT.1.1: the ApplVerID that both Logons must name in DefaultApplVerID (1137). Empty for older versions.
    appl_ver_id: str = ""
    validator: Checks | None = None  # None: only what the session itself needs is checked
    # When both numbers begin again at 1. On logon: an initiator says so (141=Y), an acceptor just does.
    reset_on_logon: bool = False
    reset_on_logout: bool = False
    reset_on_disconnect: bool = False
    reset_on_loss: bool = (
        False  # after a Logon of the peer with a number that it has used before, an initiator resets
    )
    sending_time_skew_ns_max: int = SENDING_TIME_SKEW_NS_MAX  # 0: SendingTime may be any time
    logon_timeout_ns: int = LOGON_TIMEOUT_NS
    logout_timeout_ns: int = LOGOUT_TIMEOUT_NS
    resends: bool = True  # False: the peer keeps nothing to send again, so a gap ends the connection
    resend_chunk: int = 0  # a resend request asks for so many messages at most; 0: for all there are
    next_expected: bool = False  # NextExpectedMsgSeqNum (789) in the Logon instead of resend requests
    last_processed: bool = False  # LastMsgSeqNumProcessed (369) in every header
    # Rejects without the tag (371) where QuickFIX leaves it out, and no text in the Logout behind them.
    terse: bool = False
    # A tag may stand without a value, in what comes and in what goes: QuickFIX's ValidateFieldsHaveValues=N.
    empty_values: bool = False
    framing: Callable[[], Framing] = Framer

    @property
    def is_plain(self) -> bool:
        """Whether compiled code knows how its messages look (fix/line/row.py)."""
        usual = self.begin_string == "FIX.4.4" and self.time_digits == 3 and self.framing is Framer
        return usual and not (self.header_fields or self.last_processed or self.empty_values)
