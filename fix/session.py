"""The FIX session: bytes and time in, events and messages out. No I/O, no clock, no store.

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
- What is no Logon for this session gets no answer before there was one: the connection is closed.

Its parts are beside it: the states (session_state), who and how (session_config), what comes out
(session_events), what is looked at (session_checks), Logons (session_logon), a gap (session_gap), heartbeats
(session_alive), how messages are written (session_writer).

Must not do: read a clock, a file or a socket; know what an order is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from fix.codec import Message, MissingTag, ParseError, parse
from fix.session_alive import Due, KeepAlive
from fix.session_checks import (
    Ending,
    check_header,
    check_orig_sending_time,
    int_of,
    is_reset,
    salvage,
)
from fix.session_config import LOGON_TIMEOUT_NS, SessionConfig
from fix.session_events import (
    Disconnect,
    Event,
    LoggedOn,
    NumbersReset,
    Received,
    ResendRequested,
    Sent,
    Stored,
)
from fix.session_gap import Ask, Gap, GapStalled
from fix.session_logon import Logon, logon_fields, read_logon, resend_after_logon
from fix.session_state import CONNECT, LOGGING_ON, TRANSITIONS, Input, Role, State
from fix.session_writer import Writer
from fix.tags import ADMIN_TYPES, MsgType, RejectReason, Tag
from fix.timestamps import NS_PER_S
from fix.violation import Violation

__all__ = [
    "LOGON_TIMEOUT_NS",
    "TRANSITIONS",
    "Disconnect",
    "Event",
    "Input",
    "LoggedOn",
    "NumbersReset",
    "Received",
    "ResendRequested",
    "Role",
    "Sent",
    "Session",
    "SessionConfig",
    "State",
    "Stored",
]

_Step = Callable[[Message, int], None]


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
        self._writer = Writer(config)
        self.framer = config.framing()
        self._gap = Gap(config.resend_chunk)
        self._events: deque[Event] = deque()
        self._outgoing: list[Sent] = []
        self.alive = KeepAlive()
        self._since_ns = 0  # when the present state began
        self._logon_seq = 0
        self._logged_out = False  # on this connection, by both
        self._is_lost = False  # one of us has lost its numbers: the peer's last Logon said so, or our owner

    # --- what the owner calls -------------------------------------------------------------------------

    def connected(self, now_ns: int, reset: bool = False) -> None:
        """A connection stands. An initiator's Logon is outgoing; `reset` begins again at 1 (141=Y)."""
        assert self.state is State.DISCONNECTED, f"connected while {self.state}"
        self._move(CONNECT[self.config.role], now_ns)
        self.alive.begin(now_ns)
        self._logged_out = False
        if self.config.role is Role.INITIATOR:
            reset = reset or self.config.reset_on_logon or (self._is_lost and self.config.reset_on_loss)
            self._is_lost = False
            if reset:
                self._reset_numbers()
            self._send_logon(now_ns, reset)

    def have_lost_count(self) -> None:
        """Our own numbers are not those that the peer knows."""
        self._is_lost = True

    def disconnected(self) -> list[Event]:
        """The connection is gone. What was received in part or above a gap is forgotten; the peer has it."""
        self._move(Input.LOST, 0)
        self.framer = self.config.framing()
        self._gap.clear()
        self._events.clear()
        if self.config.reset_on_disconnect or (self.config.reset_on_logout and self._logged_out):
            self._reset_numbers()
        events = list(self._events)
        self._events.clear()
        return events

    def receive(self, data: bytes, now_ns: int) -> Iterator[Event]:
        """Feeds `data` and gives the events one at a time. Exhaust it, or go on later with `next_event`."""
        self.feed(data)
        while (event := self.next_event(now_ns)) is not None:
            yield event

    def feed(self, data: bytes) -> None:
        """Bytes of the peer, as they came; `next_event` works them out."""
        self.framer.feed(data)

    def next_event(self, now_ns: int) -> Event | None:
        """The next event in what was fed, or None. Works out no more than one message of the application."""
        while not self._events:
            if (due := self._next_waiting()) is not None:
                self._guarded(due, now_ns, self._handle)
            elif (message := self._next_framed(now_ns)) is not None:
                self._take(message, now_ns)
            elif not self._events:
                return None
            if self.state is State.ACTIVE:
                self._request(self._gap.advance(self.next_in, now_ns), now_ns)
        return self._events.popleft()

    def send(self, msg_type: str, fields: Iterable[tuple[int, str]], now_ns: int) -> Sent:
        """Gives the message the next sequence number and puts it with the outgoing. Raises EncodeError.

        Fields that belong into the header (97, 115, 1128, ...) get there. Needs no connection: see `Sent`.
        """
        admin = msg_type in ADMIN_TYPES
        raw = self._writer.encode(msg_type, self.next_out, fields, now_ns, self.next_in)
        sent = Sent(self.next_out, raw, admin, live=admin or self.is_logged_on)
        self.next_out += 1
        self._outgoing.append(sent)
        self.alive.sent(now_ns)
        return sent

    def take_outgoing(self) -> list[Sent]:
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def logout(self, text: str, now_ns: int) -> None:
        """Asks the peer to end; Disconnect follows its answer or the time-out. Nothing when not logged on."""
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
        if self.state in LOGGING_ON and waited_ns >= self.config.logon_timeout_ns:
            self._fail(f"no Logon within {_seconds(self.config.logon_timeout_ns)}", now_ns)
        elif self.state is State.LOGOUT_SENT and waited_ns >= self.config.logout_timeout_ns:
            self._fail(f"no answer to our Logout within {_seconds(self.config.logout_timeout_ns)}", now_ns)
        elif self.state is State.ACTIVE:
            self._keep_alive(now_ns)
        if self.state is State.ACTIVE:
            try:
                self._request(self._gap.tick(self.next_in, now_ns), now_ns)
            except GapStalled as stalled:
                self._logout_and_fail(str(stalled), now_ns)
        events = list(self._events)
        self._events.clear()
        return events

    def clock_set(self, by_ns: int) -> None:
        """The clock that `now_ns` comes from was set by so much: no time-out is nearer or further for that."""
        self._since_ns += by_ns
        self.alive.clock_set(by_ns)
        self._gap.clock_set(by_ns)

    def not_reading(self, now_ns: int) -> None:
        """Its owner has stopped reading for now, so the peer's silence means nothing."""
        self.alive.not_reading(now_ns)

    def replay(self, begin: int, end: int, stored: Iterable[Stored], now_ns: int) -> Iterator[bytes]:
        """The bytes that answer a resend request for begin..end: application messages again with PossDupFlag,
        and a gap fill over each run of numbers that is not among `stored` (which ascends)."""
        yield from self._writer.replay(begin, end, stored, now_ns, self.next_in)
        self.alive.sent(now_ns)

    @property
    def is_logged_on(self) -> bool:
        return self.state in (State.ACTIVE, State.LOGOUT_SENT)

    @property
    def has_all(self) -> bool:
        """Whether no message of the peer is missing, as far as its numbers tell."""
        return not self._gap.is_open

    @property
    def ended_in_order(self) -> bool:
        """Whether the peer's Logout was the end of the last connection."""
        return self._logged_out

    @property
    def garbled(self) -> int:
        """How much was dropped on this connection because it was no message."""
        return self.framer.garbled

    # --- taking a message -----------------------------------------------------------------------------

    def _next_framed(self, now_ns: int) -> Message | None:
        if self.state in (State.DISCONNECTED, State.ENDED):
            return None
        while (frame := self.framer.next_frame()) is not None:
            self.alive.received(now_ns)
            try:
                return parse(frame, self.config.empty_values)
            except ParseError as error:
                self._take_unreadable(frame, error, now_ns)
                if self._events:
                    return None
        return None

    def _take_unreadable(self, frame: bytes, error: ParseError, now_ns: int) -> None:
        """A frame with a right checksum and a bad field is rejected, if what is left of it has a number."""
        message, violation = salvage(frame, error)
        if self.state is not State.ACTIVE or (message.get(Tag.MsgSeqNum) or "") != str(self.next_in):
            return  # as garbled: the gap it leaves is asked for
        self.next_in += 1
        self._reject(message, violation, now_ns)

    def _next_waiting(self) -> Message | None:
        """A message that is due and came before, while the gap below it was open."""
        return self._gap.due(self.next_in) if self.is_logged_on else None

    def _take(self, message: Message, now_ns: int) -> None:
        first_type = MsgType.Logon if self.state is State.AWAITING_LOGON else (MsgType.Logon, MsgType.Logout)
        if self.state in LOGGING_ON and message.type not in first_type:
            self._fail(f"the first message is {message.type!r}, not a Logon", now_ns)
            return
        self._guarded(message, now_ns, self._sort)

    def _guarded(self, message: Message, now_ns: int, step: _Step) -> None:
        """Runs `step` and answers what it finds wrong with the message."""
        try:
            step(message, now_ns)
        except MissingTag as missing:
            self._rejected(message, Violation(RejectReason.REQUIRED_TAG_MISSING, missing.tag), now_ns)
        except Violation as violation:
            self._rejected(message, violation, now_ns)
        except Ending as ending:
            if self.state in LOGGING_ON and ending.wait:
                self._fail(str(ending), now_ns)
            elif ending.wait:
                self.logout(str(ending), now_ns)
            else:
                self._logout_and_fail(str(ending), now_ns)

    def _sort(self, message: Message, now_ns: int) -> None:
        """By MsgSeqNum: too high waits, too low is a duplicate or the end, the expected one is handled.

        Logons have their own rules. A Logout ends, a reset resets and a resend request is answered whatever
        its number is, as in QuickFIX: a peer that has lost count must still be able to say so.
        """
        check_header(self.config, message, now_ns)
        if message.type == MsgType.Logon:
            self._take_logon(message, now_ns)
        elif message.type == MsgType.Logout:
            self._take_logout(message, now_ns)
        elif is_reset(message):
            self._take_sequence_reset(message)
        elif message.seq == self.next_in:
            if message.poss_dup:
                check_orig_sending_time(message)
            self._handle(message, now_ns)
        elif message.seq > self.next_in:
            if message.type == MsgType.ResendRequest and message.seq not in self._gap:
                self._take_resend_request(message)  # answered at once: both may be waiting for the other
            self._keep(message, now_ns)
        elif message.type == MsgType.ResendRequest and not message.poss_dup:
            self._take_resend_request(message)
        else:
            self._take_too_low(message)

    def _handle(self, message: Message, now_ns: int) -> None:
        """One message that is due. When it raises, `_rejected` takes its number."""
        if not message.raw:  # the place of one that was answered when it came
            self.next_in += 1
            return
        if message.type == MsgType.SequenceReset:
            self._take_gap_fill(message)
            return
        if message.type == MsgType.ResendRequest:
            self._take_resend_request(message)
            self.next_in += 1
            return
        self._validate(message)
        test = (
            [(Tag.TestReqID, message.require(Tag.TestReqID))] if message.type == MsgType.TestRequest else []
        )
        self.next_in += 1
        if test:
            self.send(MsgType.Heartbeat, test, now_ns)
        elif message.type != MsgType.Heartbeat:
            self._events.append(Received(message))

    def _validate(self, message: Message) -> None:
        if self.config.validator is not None:
            self.config.validator.check(message)

    def _take_too_low(self, message: Message) -> None:
        if not message.poss_dup:
            raise Ending(f"MsgSeqNum too low, expecting {self.next_in} but received {message.seq}")
        check_orig_sending_time(message)  # and no more: we have had it

    # --- logon and logout -----------------------------------------------------------------------------

    def _take_logon(self, message: Message, now_ns: int) -> None:
        self._validate(message)
        logon = read_logon(self.config, self.state, message)
        if self.state is State.AWAITING_LOGON and self.config.reset_on_logon and not logon.reset:
            self._reset_numbers()
        if not logon.reset:
            if message.seq < self.next_in and not message.poss_dup:
                self._is_lost = True
                self._take_too_low(message)
            if logon.expected > self.next_out:
                raise Ending(
                    f"NextExpectedMsgSeqNum too high, expecting {self.next_out} but received {logon.expected}"
                )
        self._log_on(message, logon, now_ns)

    def _log_on(self, message: Message, logon: Logon, now_ns: int) -> None:
        answer = self.state is not State.LOGON_SENT
        # An initiator that asked for the reset has begun again already; the answer's 141=Y is the echo.
        if logon.reset and (answer or self._logon_seq != 1):
            self._reset_numbers()
        elif logon.reset:
            self.next_in = 1
        self._move(Input.LOGON, now_ns)
        if message.seq == self.next_in:
            self.next_in += 1
        if answer:
            self.heartbeat_s = logon.heartbeat_s
            self._send_logon(now_ns, logon.reset)
        lacking_from = resend_after_logon(0 if logon.reset else logon.expected, self._logon_seq, answer)
        if lacking_from < self.next_out:
            self._events.append(ResendRequested(lacking_from, self.next_out - 1))
        if message.seq > self.next_in:
            self._gap.keep(message.seq, Message(message.fields))
            if logon.expected:  # it has read our 789, or will
                self._gap.expect(self.next_in, message.seq - 1, now_ns)
            else:
                self._request(self._gap.open(self.next_in, message.seq - 1, now_ns), now_ns)
        self._events.append(LoggedOn())

    def _send_logon(self, now_ns: int, reset: bool) -> None:
        time_text = self._writer.time_text(now_ns)
        fields = logon_fields(self.config, self.heartbeat_s, reset, self.next_out, time_text, self.next_in)
        self._logon_seq = self.send(MsgType.Logon, fields, now_ns).seq

    def _reset_numbers(self) -> None:
        self.next_in = self.next_out = 1
        self._outgoing.clear()  # of the old numbers; the peer wants none of it
        self._gap.clear()
        self._events.append(NumbersReset())

    def _take_logout(self, message: Message, now_ns: int) -> None:
        self._validate(message)
        self.logout_text = message.get(Tag.Text) or ""
        if message.seq == self.next_in:
            self.next_in += 1
        if self.state is State.ACTIVE:
            self._send_logout("", now_ns)
        self._move(Input.LOGOUT, now_ns)
        self._logged_out = True
        self._events.append(Disconnect(f"Logout {self.logout_text}".rstrip()))

    def _send_logout(self, text: str, now_ns: int) -> None:
        self.send(MsgType.Logout, [(Tag.Text, text)] if text else [], now_ns)

    # --- gaps -----------------------------------------------------------------------------------------

    def _keep(self, message: Message, now_ns: int) -> None:
        """Keeps a message above the gap, and asks for the gap once."""
        answered = message.type == MsgType.ResendRequest  # only its number is due
        self._gap.keep(message.seq, Message(message.fields) if answered else message)
        self._request(self._gap.open(self.next_in, message.seq - 1, now_ns), now_ns)

    def _request(self, ask: Ask | None, now_ns: int) -> None:
        if ask is not None and not self.config.resends:
            self._logout_and_fail(
                f"messages from {ask.begin} on are missing, and are not resent here", now_ns
            )
        elif ask is not None:
            self.send(MsgType.ResendRequest, self._writer.ask_fields(ask), now_ns)

    def _take_resend_request(self, message: Message) -> None:
        self._validate(message)
        begin, end = int_of(message, Tag.BeginSeqNo), int_of(message, Tag.EndSeqNo)
        last = self.next_out - 1
        end = last if end == 0 or end > last else end
        if begin < 1:
            raise Violation(RejectReason.VALUE_INCORRECT, Tag.BeginSeqNo)
        if begin <= end:
            self._events.append(ResendRequested(begin, end))

    def _take_gap_fill(self, message: Message) -> None:
        self._validate(message)
        new = int_of(message, Tag.NewSeqNo)
        if new <= message.seq:
            raise Violation(RejectReason.VALUE_INCORRECT, Tag.NewSeqNo)
        self._gap.forget_below(new)
        self.next_in = new

    def _take_sequence_reset(self, message: Message) -> None:
        """Reset mode: MsgSeqNum is ignored, and what was lost below NewSeqNo is lost (vol. 2, "Sequence
        reset")."""
        self._validate(message)
        new = int_of(message, Tag.NewSeqNo)
        if new < self.next_in:
            raise Violation(RejectReason.VALUE_INCORRECT, Tag.NewSeqNo)
        self._gap.forget_below(new)
        self.next_in = new

    # --- the rest -------------------------------------------------------------------------------------

    def _keep_alive(self, now_ns: int) -> None:
        match self.alive.due(self.heartbeat_s, now_ns):
            case Due.HEARTBEAT:
                self.send(MsgType.Heartbeat, [], now_ns)
            case Due.TEST_REQUEST:
                self.send(MsgType.TestRequest, [(Tag.TestReqID, "TEST")], now_ns)
            case Due.GONE:
                self._fail(f"nothing received for {_seconds(self.alive.silent_ns(now_ns))}", now_ns)

    def _rejected(self, message: Message, violation: Violation, now_ns: int) -> None:
        if self.state in LOGGING_ON:
            self._fail(f"Logon with a fault: {violation}, tag {violation.tag}", now_ns)
            return
        if message.seq == self.next_in and not is_reset(message):
            self.next_in += 1
        self._reject(message, violation, now_ns)
        if violation.fatal:
            self.logout("" if self.config.terse else str(violation), now_ns)

    def _reject(self, message: Message, violation: Violation, now_ns: int) -> None:
        self.send(MsgType.Reject, self._writer.reject_fields(message, violation), now_ns)

    def _logout_and_fail(self, text: str, now_ns: int) -> None:
        self._send_logout(text, now_ns)
        self._fail(text, now_ns)

    def _fail(self, reason: str, now_ns: int) -> None:
        self._move(Input.FAIL, now_ns)
        self._events.append(Disconnect(reason))

    def _move(self, what: Input, now_ns: int) -> None:
        self.state = TRANSITIONS[self.state, what]
        self._since_ns = now_ns


def _seconds(ns: int) -> str:
    return f"{ns // NS_PER_S} s"
