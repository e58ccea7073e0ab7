"""A session that survives its process: the sans-I/O session, its store and its application, tied together.

This is what an application is written against (`Application`, `Outgoing`, `DurableSession`), the same for an
initiator and an acceptor. An application looks like this:

    class Venue:
        def on_logon(self, session): ...
        def on_logout(self, session): ...
        def on_message(self, session, message):
            if message.type != MsgType.NewOrderSingle:
                return []
            order = message.require(Tag.ClOrdID)
            return [(MsgType.ExecutionReport, [(Tag.OrderID, "7"), (Tag.ClOrdID, order), ...])]

    ... later, unasked:  session.send([(MsgType.ExecutionReport, [...])], state=cursor_bytes)

Always holds here:
- Everything is in the store before a byte of it leaves: in one append the expected inbound number, the
  application's answers and its state. So after a kill -9 the application sees again exactly those messages
  whose answers were never remembered, and no answer is lost or sent as new a second time.
- What was stored and never written is resent (with PossDupFlag) once the peer finds the gap.
- Nothing waits without bound: a peer that doesn't read is cut off at OUTGOING_BYTES_MAX and may log on and
  ask for a resend; an application without room (`Busy`) stops the reading of the socket, so TCP slows the
  peer.

Must not do: open a socket (`fix/acceptor.py`, `fix/initiator.py` hand it a Wire) or know an order.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple, Protocol

from fix.codec import Message, parse
from fix.lent import Lent
from fix.session import (
    Disconnect,
    Event,
    LoggedOn,
    NumbersReset,
    Received,
    ResendRequested,
    Sent,
    Session,
    SessionConfig,
    State,
)
from fix.store import Store
from fix.throttle import Throttle

log = logging.getLogger(__name__)

# (msg_type, [(tag, value), ...]): body fields in the order in which they are to be written. The session adds
# the header and the trailer.
Outgoing = tuple[str, Sequence[tuple[int, str]]]

# A peer that leaves so much unread is not keeping up: 40,000 reports. It is cut off and resumes by resend.
OUTGOING_BYTES_MAX: Final = 8 * 1024 * 1024
# Keeps one append well under the store's limit when thousands of messages come in one piece.
EVENTS_PER_APPEND_MAX: Final = 512
# A resend is written in pieces, each after the one before has left, so that it never fills the buffer itself.
RESEND_CHUNK: Final = 256
RESEND_BUFFERED_MAX: Final = 512 * 1024
# The clock has gone apart from the steady one by so much: it was set. A heartbeat's time-out does not feel less.
CLOCK_SET_NS: Final = 100_000_000
# Resend requests that wait for the present one. A peer that asks more often is in a loop (a "resend storm").
RESENDS_WAITING_MAX: Final = 16
# What `room` is without a throttle: more than anybody sends in one piece.
UNTHROTTLED: Final = 1_000_000


class SessionKey(NamedTuple):
    """Whose session: our CompID (`sender`) and the peer's (`target`)."""

    sender: str
    target: str


class Busy(Exception):
    """Raised by `on_message`: no room for this message now. Nothing of it may have been taken. Reading stops,
    and the same message is offered again every few milliseconds. Other sessions go on."""


class Application(Protocol):
    """What is done with a session's messages. The calls come from the event loop's thread and must not
    block."""

    def on_logon(self, session: DurableSession) -> None:
        """Both Logons are through. May `send`."""

    def on_logout(self, session: DurableSession) -> None:
        """The connection has ended, in whatever way. `send` still works: it is stored for the next logon."""

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        """The next message, in sequence, never twice within one life of the process.

        The answers returned are stored in one append with "this message is taken" and with the state given by
        `session.remember`, then sent. After a kill -9 before that append the message comes again, with
        PossDupFlag (43=Y), so what else is done here must bear being done twice. Raise `Busy` for no room.
        Comes with all types but the session's own (0 1 2 4 5 A); a Reject (3) of one of ours comes too.
        """


class Wire(Protocol):
    """A connection, as far as a session needs one."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Closes once all that was written has left."""

    def abort(self) -> None:
        """Closes now."""

    def buffered(self) -> int:
        """Bytes written here that the socket has not taken yet."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class DurableSession:
    """One session over any number of connections and processes. Made by an Acceptor or an Initiator."""

    def __init__(
        self,
        config: SessionConfig,
        store: Store,
        application: Application,
        clock: Callable[[], int] = time.time_ns,
        throttle: Throttle | None = None,
        steady: Callable[[], int] | None = None,
    ) -> None:
        """clock: of what is written into messages. steady: of what has passed, which nobody sets: the machine's, or
        `clock` where that is not the machine's."""
        self.key = SessionKey(config.sender, config.target)
        self._store = store
        self._session = Session(config, store.next_in, store.next_out)
        self._application = application
        self._clock = clock
        self._steady = steady or (time.monotonic_ns if clock is time.time_ns else clock)
        self._offset_ns = self._clock() - self._steady()
        self._throttle = throttle
        self._wire: Wire | None = None
        self._waiting: Message | None = None  # offered, and the application was busy
        self._state: bytes | None = None  # to go with the next append
        self._in_receive = False
        self._was_logged_on = False
        self._replay: Iterator[bytes] | None = None
        self._resends: deque[tuple[int, int]] = deque()
        self._live_from = 0  # while a resend runs: the first number that was stored and not written

    # --- for the application --------------------------------------------------------------------------

    def send(self, messages: Sequence[Outgoing], state: bytes | None = None) -> None:
        """Stores `messages` and the application's new `state` in one append, then sends them.

        Works without a connection: then the peer gets them by a resend after its next Logon. Both may be
        empty. Raises EncodeError for a value that FIX can't carry (it and those behind it are not sent),
        StoreError.
        """
        now_ns = self._now()
        for msg_type, fields in messages:
            self._session.send(msg_type, fields, now_ns)
        if state is not None:
            self._state = state
        if not self._in_receive:
            self._commit()

    def remember(self, state: bytes) -> None:
        """Within `on_message`: stores `state` in the same append as the message and its answers."""
        self._state = state

    @property
    def state(self) -> bytes:
        """The application's state as last given; empty for a new session."""
        return self._store.state if self._state is None else self._state

    @property
    def generation(self) -> int:
        """How often the sequence numbers have begun again at 1."""
        return self._store.generation

    @property
    def next_in(self) -> int:
        """The number of the next message that the application will see, as far as it is stored."""
        return self._store.next_in

    @property
    def next_out(self) -> int:
        return self._session.next_out

    @property
    def is_logged_on(self) -> bool:
        return self._wire is not None and self._session.is_logged_on

    @property
    def is_connected(self) -> bool:
        return self._wire is not None

    @property
    def ended_in_order(self) -> bool:
        """Whether the last connection ended with the peer's Logout; False for one that dropped."""
        return self._session.ended_in_order

    @property
    def has_room(self) -> bool:
        """Whether the peer keeps up: a good time to send more. False without a connection."""
        return (
            self._wire is not None
            and self.is_logged_on
            and self._replay is None
            and self._wire.buffered() < RESEND_BUFFERED_MAX
        )

    @property
    def has_all(self) -> bool:
        """Whether all that the peer has sent so far has been taken: no gap is open, and nothing waits."""
        return self._waiting is None and self._session.has_all

    def room(self) -> int:
        """How many messages the peer's throttle leaves room for now; UNTHROTTLED where it has none."""
        return UNTHROTTLED if self._throttle is None else self._throttle.room(self._steady())

    def room_for_orders(self) -> int:
        """The same for new orders, which leave some of it to cancels and to the session itself."""
        return UNTHROTTLED if self._throttle is None else self._throttle.room_for_orders(self._steady())

    @property
    def is_short_of_disk(self) -> bool:
        """Whether what room the store has left is for cancels and for what the peer says, and no new order's."""
        return self._store.is_short

    @property
    def place(self) -> tuple[int, int]:
        """Where the store ends: what was stored so far stands before it."""
        return self._store.place

    def sent(self, seq: int) -> Message | None:
        """The application message that went out under `seq`, if it is still kept."""
        for stored in self._store.read(seq, seq):
            return parse(stored.raw, self._session.config.empty_values)
        return None

    def sent_from(self, seq: int) -> Iterator[tuple[int, Message]]:
        """The application messages stored from `seq` on, as far as they are still kept, each with its number."""
        for stored in self._store.read(seq, self._store.next_out - 1):
            yield stored.seq, parse(stored.raw)

    def logout(self, text: str = "") -> None:
        """Ends the connection in order: Logout, the peer's Logout, close."""
        self._session.logout(text, self._now())
        self._commit()

    def rewind(self, next_in: int) -> None:
        """Before the first connection: expect `next_in` again, for what came after it was not kept
        downstream."""
        assert self._wire is None
        if next_in < self._session.next_in:
            self._session.next_in = next_in
            self._store.append(next_in, ())

    @property
    def is_new(self) -> bool:
        """Whether no Logon has been stored: of a session that never was, or whose store was lost."""
        return self._store.next_in == self._store.next_out == 1

    def follow_lost_store(self, generation: int, state: bytes) -> None:
        """Before the first connection: this new store follows one that was lost, whose numbers were of an earlier
        generation. The next Logon begins them anew, where the configuration allows it (`reset_on_loss`)."""
        assert self._wire is None
        assert self.is_new
        if generation > self.generation:
            self._store.reset(generation)
            self._store.append(1, (), state)
        self._session.have_lost_count()

    # --- for the runners ------------------------------------------------------------------------------

    def connected(self, wire: Wire, reset: bool = False) -> None:
        assert self._wire is None, "one connection at a time"
        self._wire = wire
        self._session.connected(self._now(), reset)
        self._pump()

    def disconnected(self) -> None:
        if self._wire is None:
            return
        self._wire = None
        self._replay = None
        self._resends.clear()
        if self._waiting is not None:  # not taken: the peer has to send it again
            self._session.next_in = self._waiting.seq
            self._waiting = None
        for event in self._session.disconnected():
            self._act(event)
        self._commit()
        if self._was_logged_on:
            self._was_logged_on = False
            self._application.on_logout(self)

    def received(self, data: bytes) -> None:
        self._session.feed(data)
        self._pump()

    def refuse(self, text: str) -> None:
        """Answers a Logon with a Logout that says why, and closes."""
        self._session.refuse(text, self._now())
        self._pump()

    def tick(self) -> None:
        """Several times a second: heartbeats, time-outs, and what waits for room."""
        now_ns = self._now()
        if self._waiting is not None:
            self._session.not_reading(now_ns)
        if self._wire is not None:
            for event in self._session.tick(now_ns):
                self._act(event)
            self._commit()
        self.push()

    def push(self) -> None:
        """Goes on with what waits: a message that the application was too busy for, a resend in pieces."""
        if self._waiting is not None:
            self._pump()
        self._go_on_resending()

    @property
    def waits(self) -> bool:
        """Whether `push` has something to go on with."""
        return self._waiting is not None or self._replay is not None

    def hang_up(self) -> None:
        """Ends the connection without a word; nothing when there is none."""
        if self._wire is not None:
            self._wire.abort()
            self.disconnected()

    def lend(self) -> Lent | None:
        """All that compiled code needs to go on with it (fix/line/handover.py); None unless it is established, in step,
        and has nothing under way. Until `take_back` nothing else here may be called."""
        session, file = self._session, self._store.lend()
        is_quiet = not (self._waiting or self._replay or self._state is not None or self._throttle)
        is_established = session.state is State.ACTIVE and session.has_all and session.config.is_plain
        if file is None or not (is_quiet and is_established) or self._wire is None or self._wire.buffered():
            return None
        agreed = (session.heartbeat_s, session.config)
        numbers = (session.next_in, session.next_out, session.next_in)
        self._now()
        clocks = session.alive.clocks(-self._offset_ns)
        rest, session.framer = session.framer.rest(), session.framer.emptied()
        return Lent(*numbers, *file, clocks, self._store.state, rest, b"", *agreed)

    def take_back(self, lent: Lent) -> None:
        """Goes on where compiled code has stopped. What it has left unread is not fed yet: `received(lent.rest)`."""
        assert self._wire is not None
        self._now()
        self._store.take_back(lent.kept_in, lent.next_out, lent.store_size, lent.state)
        self._session.next_in, self._session.next_out = lent.next_in, lent.next_out
        self._session.alive.go_on(lent.clocks, self._offset_ns)
        self._wire.write(lent.unsent)

    def close(self) -> None:
        """Closes the store. The session is over for this process."""
        self._store.close()

    def _now(self) -> int:
        """The clock; the session is told when it was set, so that nobody is taken for dead by it, or for alive."""
        now_ns = self._clock()
        moved_ns = now_ns - self._steady() - self._offset_ns
        if abs(moved_ns) >= CLOCK_SET_NS:
            self._offset_ns += moved_ns
            self._session.clock_set(moved_ns)
        return now_ns

    # --- the inside -----------------------------------------------------------------------------------

    def _pump(self) -> None:
        """All events in what was received, then one append, then the bytes."""
        now_ns = self._now()
        self._in_receive = True
        try:
            if self._waiting is not None and not self._offer(self._waiting):
                return
            taken = 0
            while (event := self._session.next_event(now_ns)) is not None and self._act(event):
                taken += 1
                if taken % EVENTS_PER_APPEND_MAX == 0:
                    self._commit()
        finally:
            self._in_receive = False
            self._commit()

    def _act(self, event: Event) -> bool:
        """False when the application is busy, so nothing more may be taken."""
        match event:
            case Received(message):
                return self._offer(message)
            case LoggedOn():
                self._commit()
                if not self._was_logged_on:
                    self._was_logged_on = True
                    self._application.on_logon(self)
            case NumbersReset():
                self._store.reset()
                self._replay = None
                self._resends.clear()
            case ResendRequested(begin, end):
                self._commit()
                self._resend(begin, end)
            case Disconnect(reason):
                log.info("%s to %s: %s", self.key.sender, self.key.target, reason)
                self._commit()
                if self._wire is not None:
                    self._wire.close()
        return True

    def _offer(self, message: Message) -> bool:
        try:
            answers = self._application.on_message(self, message)
        except Busy:
            if self._waiting is None and self._wire is not None:
                self._wire.pause_reading()
            self._waiting = message
            return False
        if self._waiting is not None:
            self._waiting = None
            if self._wire is not None:
                self._wire.resume_reading()
        now_ns = self._now()
        for msg_type, fields in answers:
            self._session.send(msg_type, fields, now_ns)
        return True

    def _commit(self) -> None:
        """One append of all that is new, then its bytes to the wire if the peer is to have them now."""
        outgoing = self._session.take_outgoing()
        taken = self._waiting.seq if self._waiting is not None else self._session.next_in
        if outgoing or taken != self._store.next_in or self._state is not None:
            self._store.append(taken, outgoing, self._state)
            self._state = None
        if outgoing:
            self._write(outgoing)

    def _write(self, outgoing: Sequence[Sent]) -> None:
        if self._wire is None:
            return
        if self._replay is not None:
            return  # after the resend, from the store
        live = [sent.raw for sent in outgoing if sent.live]
        self._wire.write(b"".join(live))
        if self._throttle is not None:
            self._throttle.count(self._steady(), len(live))
        if self._wire.buffered() > OUTGOING_BYTES_MAX:
            log.warning(
                "%s does not read: cut off with %d bytes unread", self.key.target, self._wire.buffered()
            )
            self._wire.abort()

    def _resend(self, begin: int, end: int) -> None:
        if self._replay is None:
            self._live_from = self._session.next_out
            self._start_replay(begin, end)
            self._go_on_resending()
        elif len(self._resends) < RESENDS_WAITING_MAX:
            self._resends.append((begin, end))
        elif self._wire is not None:
            log.warning("%s asks for resends faster than they are sent: cut off", self.key.target)
            self._wire.abort()

    def _start_replay(self, begin: int, end: int) -> None:
        self._replay = self._session.replay(begin, end, self._store.read(begin, end), self._now())

    def _go_on_resending(self) -> None:
        """Writes a resend piece by piece; then, in the same way, what was stored while it ran."""
        while (
            self._replay is not None
            and self._wire is not None
            and self._wire.buffered() < RESEND_BUFFERED_MAX
        ):
            most = min(RESEND_CHUNK, self.room())
            if most == 0:
                return  # a resend counts as any other message; `push` goes on with it
            piece = list(islice(self._replay, most))
            if piece:
                self._wire.write(b"".join(piece))
                if self._throttle is not None:
                    self._throttle.count(self._steady(), len(piece))
            elif self._resends:
                self._start_replay(*self._resends.popleft())
            elif self._live_from < self._session.next_out:
                begin, self._live_from = self._live_from, self._session.next_out
                self._start_replay(begin, self._session.next_out - 1)
            else:
                self._replay = None
