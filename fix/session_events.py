"""What comes out of a session: the bytes to be sent, and the events for its owner."""

from __future__ import annotations

from dataclasses import dataclass

from fix.codec import Message


@dataclass(frozen=True)
class Sent:
    """One message to be persisted and then, if `live`, written. Only what is not `admin` is ever sent again.

    Not live: the application sent it while nobody was logged on. The peer finds the gap and asks for it.
    """

    seq: int
    raw: bytes
    admin: bool
    live: bool


@dataclass(frozen=True)
class Stored:
    """A message of ours that the store gives back for a resend."""

    seq: int
    raw: bytes


class LoggedOn:
    """Both Logons are through; `send` now reaches the peer."""


@dataclass(frozen=True)
class Received:
    """The next message for the application: all but the session's own, and a Reject (3) of one of ours
    too."""

    message: Message


@dataclass(frozen=True)
class ResendRequested:
    """Send `begin`..`end` again: `replay` makes the messages out of what the store has of them."""

    begin: int
    end: int


@dataclass(frozen=True)
class NumbersReset:
    """Both sequence numbers began again at 1 (141=Y, or by configuration). Nothing sent before can be
    resent."""


@dataclass(frozen=True)
class Disconnect:
    """Write what is outgoing, then close. `reason` is for the log."""

    reason: str


Event = LoggedOn | Received | ResendRequested | NumbersReset | Disconnect
