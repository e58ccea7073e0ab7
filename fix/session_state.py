"""The states of a FIX session on one connection, and the one table of how it goes from one to the next."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class Role(Enum):
    INITIATOR = auto()
    ACCEPTOR = auto()


class State(Enum):
    DISCONNECTED = auto()
    AWAITING_LOGON = auto()  # acceptor: connected, the first message must be a Logon
    LOGON_SENT = auto()  # initiator: the answer must be a Logon
    ACTIVE = auto()
    LOGOUT_SENT = auto()  # we asked to end; messages are still taken until the peer's Logout
    ENDED = auto()  # nothing is read or written any more; the connection is to be closed


class Input(Enum):
    CONNECT_AS_ACCEPTOR = auto()
    CONNECT_AS_INITIATOR = auto()
    LOGON = auto()  # a good Logon of the peer
    LOGOUT = auto()  # a Logout of the peer
    ASK_LOGOUT = auto()  # we want to end
    FAIL = auto()  # a violation or a time-out that ends the connection
    LOST = auto()  # the connection is gone


# The theory. A session's life on one connection is a line, DISCONNECTED -> logging on -> ACTIVE -> ending ->
# DISCONNECTED, and every input moves along it or is not allowed: a pair that is missing here is a violation
# of the protocol by the peer (or a bug of ours), never something to be handled where it happens. Two things
# are deliberately not states, for they may be true in any: that a gap is being filled (`session_gap.py`), and
# that an answer to a TestRequest is awaited.
LOGGING_ON: Final = (State.AWAITING_LOGON, State.LOGON_SENT)
TRANSITIONS: Final[dict[tuple[State, Input], State]] = {
    (State.DISCONNECTED, Input.CONNECT_AS_ACCEPTOR): State.AWAITING_LOGON,
    (State.DISCONNECTED, Input.CONNECT_AS_INITIATOR): State.LOGON_SENT,
    (State.AWAITING_LOGON, Input.LOGON): State.ACTIVE,
    (State.LOGON_SENT, Input.LOGON): State.ACTIVE,
    (State.ACTIVE, Input.LOGON): State.ACTIVE,  # only to reset the numbers (141=Y) in mid-session
    (State.LOGON_SENT, Input.LOGOUT): State.ENDED,  # the peer refuses our Logon
    (State.ACTIVE, Input.LOGOUT): State.ENDED,
    (State.LOGOUT_SENT, Input.LOGOUT): State.ENDED,
    (State.ACTIVE, Input.ASK_LOGOUT): State.LOGOUT_SENT,
    **{(state, Input.FAIL): State.ENDED for state in State if state is not State.DISCONNECTED},
    **{(state, Input.LOST): State.DISCONNECTED for state in State},
}
CONNECT: Final = {Role.ACCEPTOR: Input.CONNECT_AS_ACCEPTOR, Role.INITIATOR: Input.CONNECT_AS_INITIATOR}
