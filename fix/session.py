"""The FIX 4.4 session: bytes and time in, events and messages out. No I/O, no clock, no store.

One object serves both roles and lives as long as the session's sequence numbers do, over any number of
connections. It is driven like this (`fix/durable.py` does, and so can a list in a test):

    session.connected(now)                         # a connection stands; an initiator writes its Logon
    for event in session.receive(data, now): ...   # LoggedOn, Received, ResendRequested, Disconnect, ...
    session.send("D", fields, now)                 # the next sequence number is given now
    session.take_outgoing()                        # [Sent]: persist these, then write them, in this order
    session.tick(now)                              # heartbeats and time-outs; a few times a second
    session.disconnected()

Always holds here:
- The application gets every message once, in ascending MsgSeqNum without a gap. `next_in` is the number after
  the last that it was given. Events are worked out one at a time, so what the application sends while it
  looks at message n goes out before the session's own answer to n + 1.
- A sequence number is given out once. Messages sent while nobody is logged on get theirs too; the peer finds
  the gap at the next Logon and asks, and they are resent from the store.
- A garbled message changes nothing (vol. 2, "Message recovery"): no sequence number, no answer.

Must not do: read a clock, a file or a socket; know what an order is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from fix import timestamps
from fix.codec import SOH, Field, Framer, Message, MissingTag, ParseError, encode, parse
from fix.tags import ADMIN_TYPES, HEADER_TAGS, REJECT_TEXT, MsgType, RejectReason, Tag

_S: Final = timestamps.NS_PER_S

# A peer that connects and stays silent holds a connection: QuickFIX's LogonTimeout.
LOGON_TIMEOUT_NS: Final = 10 * _S
# After our Logout the peer has so long to answer: QuickFIX's LogoutTimeout.
LOGOUT_TIMEOUT_NS: Final = 2 * _S
# "Some reasonable transmission time": 20 % (vol. 2, "Heartbeat"). Twice that in all, and the peer is gone.
TEST_REQUEST_AFTER: Final = 1.2
GONE_AFTER: Final = 2.4
HEARTBEAT_S_MAX: Final = 3600
# SendingTime further off than this means a wrong clock or a replayed message: QuickFIX's MaxLatency.
SENDING_TIME_SKEW_NS_MAX: Final = 120 * _S
# Messages above a gap that are kept while it is filled. Ten thousand reports are two megabytes; what does not
# fit is asked for again when the gap is closed.
QUEUED_MESSAGES_MAX: Final = 10_000
# A gap whose filling has stood still is asked for again, so often; then the peer can't fill it and we say so.
RESEND_STALL_NS: Final = 10 * _S
RESEND_ATTEMPTS_MAX: Final = 3


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
    CONNECT = auto()
    LOGON = auto()  # a good Logon of the peer
    LOGOUT = auto()  # a Logout of the peer
    ASK_LOGOUT = auto()  # we want to end
    FAIL = auto()  # a violation or a time-out that ends the connection
    LOST = auto()  # the connection is gone


# The theory. A session's life on one connection is a line, DISCONNECTED -> logging on -> ACTIVE -> ending ->
# DISCONNECTED, and every input moves along it or is not allowed: a pair that is missing here is a violation
# of the protocol by the peer (or a bug of ours), never something to be handled where it happens. Two things
# are deliberately not states, for they may be true in any: that a gap is being filled (`_gap`), and that an
# answer to a TestRequest is awaited.
_LOGGING_ON: Final = (State.AWAITING_LOGON, State.LOGON_SENT)
TRANSITIONS: Final[dict[tuple[State, Input], State]] = {
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
_AFTER_CONNECT: Final = {Role.ACCEPTOR: State.AWAITING_LOGON, Role.INITIATOR: State.LOGON_SENT}


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
    header_fields: tuple[Field, ...] = ()  # of every message, after the standard header: 50, 57, such
    time_digits: int = 3  # of the fraction of a second in SendingTime: 0, 3, 6 or 9


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
    """Both sequence numbers began again at 1 (141=Y). Nothing sent before can be resent."""


@dataclass(frozen=True)
class Disconnect:
    """Write what is outgoing, then close. `reason` is for the log."""

    reason: str


Event = LoggedOn | Received | ResendRequested | NumbersReset | Disconnect


class _Violation(Exception):
    """The message gets a Reject (3) with this tag and reason. It takes its sequence number all the same."""

    def __init__(self, reason: RejectReason, tag: int = 0, fatal: bool = False) -> None:
        super().__init__(REJECT_TEXT[reason])
        self.reason = reason
        self.tag = int(tag)
        self.fatal = fatal  # a Logout follows


@dataclass
class _Gap:
    """Messages asked for again: all up to `end`. `asked` and `at_ns` are of the last request."""

    end: int
    asked: int
    next_in: int
    at_ns: int


class Session:
    """See the module. `next_in` and `next_out` are what the store knew; 1 and 1 for a new session."""

    def __init__(self, config: SessionConfig, next_in: int = 1, next_out: int = 1) -> None:
        assert next_in >= 1
        assert next_out >= 1
        self.config = config
        self.state = State.DISCONNECTED
        self.next_in = next_in
        self.next_out = next_out
        self.heartbeat_s = config.heartbeat_s
        self.logout_text = ""  # Text (58) of the peer's last Logout
        self._framer = Framer()
        self._events: deque[Event] = deque()
        self._outgoing: list[Sent] = []
        self._queued: dict[int, Message] = {}
        self._queue_overflowed = False
        self._gap: _Gap | None = None
        self._received_ns = 0
        self._sent_ns = 0
        self._since_ns = 0  # when the present state began
        self._test_request_out = False
        self._logon_seq = 0

    # --- what the owner calls -------------------------------------------------------------------------

    def connected(self, now_ns: int, reset: bool = False) -> None:
        """A connection stands. An initiator's Logon is outgoing; `reset` begins again at 1 (141=Y)."""
        assert self.state is State.DISCONNECTED, f"connected while {self.state}"
        self.state = _AFTER_CONNECT[self.config.role]
        self._received_ns = self._sent_ns = self._since_ns = now_ns
        if self.config.role is Role.INITIATOR:
            if reset:
                self._reset_numbers()
            self._send_logon(now_ns, reset)

    def disconnected(self) -> None:
        """The connection is gone. What was received in part or above a gap is forgotten; the peer has it."""
        self._move(Input.LOST, 0)
        self._framer = Framer()
        self._queued.clear()
        self._queue_overflowed = False
        self._gap = None
        self._test_request_out = False
        self._events.clear()

    def receive(self, data: bytes, now_ns: int) -> Iterator[Event]:
        """Feeds `data` and gives the events one at a time. Exhaust it, or go on later with `next_event`."""
        self.feed(data, now_ns)
        while (event := self.next_event(now_ns)) is not None:
            yield event

    def feed(self, data: bytes, now_ns: int) -> None:
        self._received_ns = now_ns
        self._test_request_out = False
        self._framer.feed(data)

    def next_event(self, now_ns: int) -> Event | None:
        """The next event in what was fed, or None. Works out no more than one message of the application."""
        while not self._events:
            if (due := self._next_queued()) is not None:
                self._take_due(due, now_ns)
            elif (message := self._next_framed(now_ns)) is not None:
                self._take(message, now_ns)
            elif not self._events:
                return None
            self._close_gap(now_ns)
        return self._events.popleft()

    def send(self, msg_type: str, fields: Iterable[tuple[int, str]], now_ns: int) -> Sent:
        """Gives the message the next sequence number and puts it with the outgoing. Raises EncodeError.

        Needs no connection: see `Sent`.
        """
        admin = msg_type in ADMIN_TYPES
        raw = self._encode(msg_type, self.next_out, fields, now_ns)
        sent = Sent(self.next_out, raw, admin, live=admin or self.is_logged_on)
        self.next_out += 1
        self._outgoing.append(sent)
        self._sent_ns = now_ns
        return sent

    def take_outgoing(self) -> list[Sent]:
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def logout(self, text: str, now_ns: int) -> None:
        """Asks the peer to end; Disconnect follows its answer or LOGOUT_TIMEOUT_NS. Nothing when not logged
        on."""
        if (self.state, Input.ASK_LOGOUT) in TRANSITIONS:
            self._send_logout(text, now_ns)
            self._move(Input.ASK_LOGOUT, now_ns)

    def refuse(self, text: str, now_ns: int) -> None:
        """Ends with a Logout that says why: for a Logon whose password is wrong, say."""
        self._send_logout(text, now_ns)
        self._fail(text, now_ns)

    def tick(self, now_ns: int) -> list[Event]:
        """Heartbeats and time-outs. Call it several times a second."""
        waited_ns = now_ns - self._since_ns
        if self.state in _LOGGING_ON and waited_ns >= LOGON_TIMEOUT_NS:
            self._fail(f"no Logon within {LOGON_TIMEOUT_NS // _S} s", now_ns)
        elif self.state is State.LOGOUT_SENT and waited_ns >= LOGOUT_TIMEOUT_NS:
            self._fail(f"no answer to our Logout within {LOGOUT_TIMEOUT_NS // _S} s", now_ns)
        elif self.state is State.ACTIVE:
            self._keep_alive(now_ns)
        if self._gap is not None and self.state is State.ACTIVE:
            self._push_resend(self._gap, now_ns)
        events = list(self._events)
        self._events.clear()
        return events

    def not_reading(self, now_ns: int) -> None:
        """Its owner has stopped reading for now, so the peer's silence means nothing."""
        self._received_ns = now_ns

    def replay(self, begin: int, end: int, stored: Iterable[Stored], now_ns: int) -> Iterator[bytes]:
        """The bytes that answer a resend request for begin..end: application messages again with PossDupFlag,
        and a gap fill over each run of numbers that is not among `stored` (which ascends)."""
        at = begin
        for message in stored:
            if message.seq > at:
                yield self._gap_fill(at, message.seq, now_ns)
            yield self._again(message, now_ns)
            at = message.seq + 1
        if at <= end:
            yield self._gap_fill(at, end + 1, now_ns)
        self._sent_ns = now_ns

    @property
    def is_logged_on(self) -> bool:
        return self.state in (State.ACTIVE, State.LOGOUT_SENT)

    @property
    def garbled(self) -> int:
        """How much was dropped on this connection because it was no message."""
        return self._framer.garbled

    # --- taking a message -----------------------------------------------------------------------------

    def _next_framed(self, now_ns: int) -> Message | None:
        if self.state in (State.DISCONNECTED, State.ENDED):
            return None
        while (frame := self._framer.next_frame()) is not None:
            try:
                return parse(frame)
            except ParseError as error:
                self._take_unreadable(frame, error, now_ns)
                if self._events:
                    return None
        return None

    def _take_unreadable(self, frame: bytes, error: ParseError, now_ns: int) -> None:
        """A frame with a right checksum and a bad field is rejected, if what is left of it has a number."""
        parts = [part.partition(b"=") for part in frame[:-1].split(SOH)]
        message = Message([(int(t), v.decode("latin-1")) for t, _, v in parts if t.isdigit() and v], frame)
        if self.state is not State.ACTIVE or (message.get(Tag.MsgSeqNum) or "") != str(self.next_in):
            return  # as garbled: the gap it leaves is asked for
        reason = RejectReason.TAG_WITHOUT_VALUE if error.empty_value else RejectReason.INVALID_TAG_NUMBER
        self._reject(message, _Violation(reason, error.tag), now_ns)
        self.next_in += 1

    def _next_queued(self) -> Message | None:
        """The message that is due and came before, while the gap below it was open."""
        if self.state not in (State.ACTIVE, State.LOGOUT_SENT):
            return None
        return self._queued.pop(self.next_in, None)

    def _take(self, message: Message, now_ns: int) -> None:
        logging_on = self.state in _LOGGING_ON
        first_type = MsgType.Logon if self.state is State.AWAITING_LOGON else (MsgType.Logon, MsgType.Logout)
        if logging_on and message.type not in first_type:
            self._fail(f"the first message is {message.type!r}, not a Logon", now_ns)
            return
        try:
            self._check_header(message, now_ns)
            self._in_sequence(message, now_ns)
        except MissingTag as missing:
            self._rejected(message, _Violation(RejectReason.REQUIRED_TAG_MISSING, missing.tag), now_ns)
        except _Violation as violation:
            self._rejected(message, violation, now_ns)

    def _check_header(self, message: Message, now_ns: int) -> None:
        """BeginString, CompIDs, SendingTime and MsgSeqNum. Raises, or has ended the session."""
        if message.fields[0][1] != self.config.begin_string:
            self._logout_and_fail(f"Incorrect BeginString: expected {self.config.begin_string}", now_ns)
            return
        seq = message.get(Tag.MsgSeqNum)
        if seq is None or not (seq.isascii() and seq.isdigit()) or int(seq) < 1:
            self._logout_and_fail(f"MsgSeqNum (34) is {seq or 'missing'}; it must be a number from 1", now_ns)
            return
        for tag, expected in ((Tag.SenderCompID, self.config.target), (Tag.TargetCompID, self.config.sender)):
            if message.require(tag) != expected:
                raise _Violation(RejectReason.COMP_ID_PROBLEM, tag, fatal=True)
        sending_ns = _time_of(message, Tag.SendingTime)
        if abs(sending_ns - now_ns) > SENDING_TIME_SKEW_NS_MAX:
            raise _Violation(RejectReason.SENDING_TIME_ACCURACY, Tag.SendingTime, fatal=True)

    def _in_sequence(self, message: Message, now_ns: int) -> None:
        """Sorts by MsgSeqNum: too high waits, too low is a duplicate or the end, the expected one is
        handled."""
        if self.state is State.ENDED:
            return
        if message.type == MsgType.Logon:
            self._take_logon(message, now_ns)
        elif message.type == MsgType.Logout:
            self._take_logout(message, now_ns)
        elif message.type == MsgType.SequenceReset and message.get(Tag.GapFillFlag) != "Y":
            self._take_sequence_reset(message)
        elif message.seq > self.next_in:
            if message.type == MsgType.ResendRequest and message.seq not in self._queued:
                self._take_resend_request(message)  # answered at once: both may be waiting for the other
            self._queue(message, now_ns)
        elif message.seq < self.next_in:
            self._take_too_low(message, now_ns)
        else:
            if message.poss_dup:
                self._check_orig_sending_time(message)
            self._handle(message, now_ns)

    def _take_due(self, message: Message, now_ns: int) -> None:
        """A message that waited above a gap and was checked when it came."""
        try:
            self._handle(message, now_ns)
        except MissingTag as missing:
            self._rejected(message, _Violation(RejectReason.REQUIRED_TAG_MISSING, missing.tag), now_ns)
        except _Violation as violation:
            self._rejected(message, violation, now_ns)

    def _handle(self, message: Message, now_ns: int) -> None:
        """One message that is due. When it raises, `_rejected` takes its number."""
        if message.type == MsgType.SequenceReset:
            self._take_gap_fill(message)
            return
        if message.type == MsgType.TestRequest:
            self.send(MsgType.Heartbeat, [(Tag.TestReqID, message.require(Tag.TestReqID))], now_ns)
        elif message.type == MsgType.ResendRequest:
            if message.raw:  # a placeholder was answered when it came
                self._take_resend_request(message)
        elif message.type not in (MsgType.Heartbeat, MsgType.Logon):
            self._events.append(Received(message))
        self.next_in += 1

    def _take_too_low(self, message: Message, now_ns: int) -> None:
        if message.poss_dup:
            self._check_orig_sending_time(message)
            return  # we have had it
        self._logout_and_fail(
            f"MsgSeqNum too low, expecting {self.next_in} but received {message.seq}", now_ns
        )

    def _check_orig_sending_time(self, message: Message) -> None:
        if message.type == MsgType.SequenceReset:
            return  # vol. 2: a gap fill need not say when it was first sent, for it never was
        if _time_of(message, Tag.OrigSendingTime) > _time_of(message, Tag.SendingTime):
            raise _Violation(RejectReason.SENDING_TIME_ACCURACY, Tag.OrigSendingTime, fatal=True)

    # --- logon and logout -----------------------------------------------------------------------------

    def _take_logon(self, message: Message, now_ns: int) -> None:
        asked_s = _int_of(message, Tag.HeartBtInt)
        reset = message.get(Tag.ResetSeqNumFlag) == "Y"
        if not 0 <= asked_s <= HEARTBEAT_S_MAX:
            self._logout_and_fail(f"HeartBtInt (108) is {asked_s}; send 0 to {HEARTBEAT_S_MAX}", now_ns)
        elif self.state is State.ACTIVE and not reset:
            self._logout_and_fail("Logon while logged on; log out first, or send 141=Y", now_ns)
        elif reset and message.seq != 1:
            self._logout_and_fail(f"with 141=Y MsgSeqNum must be 1, not {message.seq}", now_ns)
        elif not reset and message.seq < self.next_in and not message.poss_dup:
            self._take_too_low(message, now_ns)
        else:
            self._log_on(message, asked_s, reset, now_ns)

    def _log_on(self, message: Message, asked_s: int, reset: bool, now_ns: int) -> None:
        answer = self.state is not State.LOGON_SENT
        # An initiator that asked for the reset has begun again already; the answer's 141=Y is the echo.
        if reset and (answer or self._logon_seq != 1):
            self._reset_numbers()
        elif reset:
            self.next_in = 1
        self._move(Input.LOGON, now_ns)
        if answer:
            self.heartbeat_s = asked_s
            self._send_logon(now_ns, reset)
        if self.next_out > self._logon_seq + 1:
            # Sent while the Logon was under way: numbered and stored, not written.
            self._events.append(ResendRequested(self._logon_seq + 1, self.next_out - 1))
        if message.seq > self.next_in:
            self._queue(message, now_ns)
        elif message.seq == self.next_in:
            self.next_in += 1
        self._events.append(LoggedOn())

    def _send_logon(self, now_ns: int, reset: bool) -> None:
        flag = [(Tag.ResetSeqNumFlag, "Y")] if reset else []
        extra = self.config.logon_fields if self.config.role is Role.INITIATOR else ()
        if self.config.sign is not None:
            extra = (*self.config.sign(self.next_out, self._time_text(now_ns)), *extra)
        fields = [(Tag.EncryptMethod, "0"), (Tag.HeartBtInt, str(self.heartbeat_s)), *flag, *extra]
        self._logon_seq = self.send(MsgType.Logon, fields, now_ns).seq

    def _reset_numbers(self) -> None:
        self.next_in = self.next_out = 1
        self._outgoing.clear()  # of the old numbers; the peer wants none of it
        self._queued.clear()
        self._gap = None
        self._events.append(NumbersReset())

    def _take_logout(self, message: Message, now_ns: int) -> None:
        self.logout_text = message.get(Tag.Text) or ""
        if message.seq == self.next_in:
            self.next_in += 1
        if self.state is State.ACTIVE:
            self._send_logout("", now_ns)
        self._move(Input.LOGOUT, now_ns)
        self._events.append(Disconnect(f"Logout {self.logout_text}".rstrip()))

    def _send_logout(self, text: str, now_ns: int) -> None:
        self.send(MsgType.Logout, [(Tag.Text, text)] if text else [], now_ns)

    # --- gaps -----------------------------------------------------------------------------------------

    def _queue(self, message: Message, now_ns: int) -> None:
        """Keeps a message above the gap, and asks for the gap once."""
        if len(self._queued) < QUEUED_MESSAGES_MAX:
            admin = message.type in (MsgType.ResendRequest, MsgType.Logon)  # done; only its number is due
            self._queued[message.seq] = Message(message.fields) if admin else message
        else:
            self._queue_overflowed = True
        if self._gap is None:
            self._ask(message.seq - 1, 1, now_ns)

    def _ask(self, end: int, asked: int, now_ns: int) -> None:
        """7=the first missing, 16=0: "and all after it", so that a longer gap is filled by the same
        answer."""
        self._gap = _Gap(end, asked, self.next_in, now_ns)
        self.send(MsgType.ResendRequest, [(Tag.BeginSeqNo, str(self.next_in)), (Tag.EndSeqNo, "0")], now_ns)

    def _close_gap(self, now_ns: int) -> None:
        if self._gap is not None and self.next_in > self._gap.end:
            self._gap = None
        if self._gap is None and self._queue_overflowed and not self._queued and self.state is State.ACTIVE:
            self._queue_overflowed = False
            self._ask(self.next_in, 1, now_ns)

    def _push_resend(self, gap: _Gap, now_ns: int) -> None:
        if self.next_in > gap.next_in:
            gap.next_in, gap.at_ns, gap.asked = self.next_in, now_ns, 1
        elif now_ns - gap.at_ns >= RESEND_STALL_NS:
            if gap.asked >= RESEND_ATTEMPTS_MAX:
                missing = f"{self.next_in} to {gap.end}"
                self._logout_and_fail(f"{missing} did not come after {gap.asked} resend requests", now_ns)
            else:
                self._ask(gap.end, gap.asked + 1, now_ns)

    def _take_resend_request(self, message: Message) -> None:
        begin, end = _int_of(message, Tag.BeginSeqNo), _int_of(message, Tag.EndSeqNo)
        last = self.next_out - 1
        end = last if end == 0 or end > last else end
        if begin < 1:
            raise _Violation(RejectReason.VALUE_INCORRECT, Tag.BeginSeqNo)
        if begin <= end:
            self._events.append(ResendRequested(begin, end))

    def _take_gap_fill(self, message: Message) -> None:
        new = _int_of(message, Tag.NewSeqNo)
        if new <= message.seq:
            raise _Violation(RejectReason.VALUE_INCORRECT, Tag.NewSeqNo)
        self._forget_queued_below(new)
        self.next_in = new

    def _take_sequence_reset(self, message: Message) -> None:
        """Reset mode: MsgSeqNum is ignored, and what was lost below NewSeqNo is lost (vol. 2, "Sequence
        reset")."""
        new = _int_of(message, Tag.NewSeqNo)
        if new < self.next_in:
            raise _Violation(RejectReason.VALUE_INCORRECT, Tag.NewSeqNo)
        self._forget_queued_below(new)
        self.next_in = new

    def _forget_queued_below(self, new: int) -> None:
        for seq in [seq for seq in self._queued if seq < new]:
            del self._queued[seq]

    def _gap_fill(self, at: int, new: int, now_ns: int) -> bytes:
        fields = [(Tag.GapFillFlag, "Y"), (Tag.NewSeqNo, str(new))]
        return self._encode(MsgType.SequenceReset, at, fields, now_ns, self._time_text(now_ns))

    def _again(self, stored: Stored, now_ns: int) -> bytes:
        message = parse(stored.raw)
        own = {tag for tag, _ in self.config.header_fields}
        body = [f for f in message.fields[3:-1] if f[0] not in HEADER_TAGS and f[0] not in own]
        return self._encode(message.type, stored.seq, body, now_ns, message.require(Tag.SendingTime))

    # --- the rest -------------------------------------------------------------------------------------

    def _keep_alive(self, now_ns: int) -> None:
        interval_ns = self.heartbeat_s * _S
        if interval_ns == 0:
            return
        silent_ns = now_ns - self._received_ns
        if silent_ns >= GONE_AFTER * interval_ns:
            self._fail(f"nothing received for {silent_ns // _S} s", now_ns)
        elif silent_ns >= TEST_REQUEST_AFTER * interval_ns and not self._test_request_out:
            self._test_request_out = True
            self.send(MsgType.TestRequest, [(Tag.TestReqID, "TEST")], now_ns)
        elif now_ns - self._sent_ns >= interval_ns and not self._test_request_out:
            self.send(MsgType.Heartbeat, [], now_ns)

    def _rejected(self, message: Message, violation: _Violation, now_ns: int) -> None:
        if self.state in _LOGGING_ON:
            self._fail(f"Logon with a fault: {violation}, tag {violation.tag}", now_ns)
            return
        self._reject(message, violation, now_ns)
        if message.seq == self.next_in:
            self.next_in += 1
        if violation.fatal:
            self._logout_and_fail(str(violation), now_ns)

    def _reject(self, message: Message, violation: _Violation, now_ns: int) -> None:
        fields: list[Field] = [
            (Tag.RefSeqNum, str(message.seq)),
            (Tag.Text, str(violation)),
            (Tag.RefTagID, str(violation.tag)),
            (Tag.RefMsgType, message.type),
            (Tag.SessionRejectReason, str(int(violation.reason))),
        ]
        if not violation.tag:
            del fields[2]
        self.send(MsgType.Reject, fields, now_ns)

    def _logout_and_fail(self, text: str, now_ns: int) -> None:
        if self.state is not State.ENDED:
            self._send_logout(text, now_ns)
            self._fail(text, now_ns)

    def _fail(self, reason: str, now_ns: int) -> None:
        self._move(Input.FAIL, now_ns)
        self._events.append(Disconnect(reason))

    def _move(self, what: Input, now_ns: int) -> None:
        self.state = TRANSITIONS[self.state, what]
        self._since_ns = now_ns

    def _encode(
        self,
        msg_type: str,
        seq: int,
        fields: Iterable[tuple[int, str]],
        now_ns: int,
        orig_sending_time: str = "",
    ) -> bytes:
        """35, then the header in ascending order of tags, then the fields as they are given."""
        header: Sequence[Field] = (
            (Tag.MsgType, msg_type),
            (Tag.MsgSeqNum, str(seq)),
            *(((Tag.PossDupFlag, "Y"),) if orig_sending_time else ()),
            (Tag.SenderCompID, self.config.sender),
            (Tag.SendingTime, self._time_text(now_ns)),
            (Tag.TargetCompID, self.config.target),
            *(((Tag.OrigSendingTime, orig_sending_time),) if orig_sending_time else ()),
            *self.config.header_fields,
        )
        return encode(self.config.begin_string, (*header, *fields))

    def _time_text(self, now_ns: int) -> str:
        return timestamps.format_ns(now_ns, self.config.time_digits)


def _int_of(message: Message, tag: int) -> int:
    text = message.require(tag)
    if not (text.isascii() and text.isdigit()):
        raise _Violation(RejectReason.INCORRECT_DATA_FORMAT, tag)
    return int(text)


def _time_of(message: Message, tag: int) -> int:
    try:
        return timestamps.parse_ns(message.require(tag))
    except timestamps.TimestampError:
        raise _Violation(RejectReason.INCORRECT_DATA_FORMAT, tag) from None
