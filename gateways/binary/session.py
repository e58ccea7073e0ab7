"""One connection of the binary door: its messages in their order, its clocks, and its end.

Always holds: before a Login was accepted nothing but that is read, and for a limited time; one request at a time is
taken, and while it has to wait (`Hold`) the socket is not read; what is unsent is bounded, for the log keeps what a
slow client has not got. Bytes that are no message end the connection with a Logout that says which.
Must not do: know a socket (it has a `Wire`), or an order: that is the door's.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

from gateways.binary.framing import FrameError, Frames
from gateways.binary.layout import FROM_CLIENT, HEARTBEATS_MISSED_MAX, Code
from gateways.binary.messages import (
    Cancel,
    Heartbeat,
    Login,
    LoginRejected,
    Logout,
    Message,
    NewOrder,
    Refused,
    Replace,
    Request,
    decode,
    encode,
)
from gateways.binary.requests import Refusal

log = logging.getLogger(__name__)

# A Login is on its way when the connection is made; who needs longer is not a client.
LOGIN_NS: Final = 5_000_000_000
# Bytes that may wait for a client's socket; then it is told from the log, as its socket takes it: 1,200 events.
UNSENT_BYTES_MAX: Final = 256 << 10
# Below so many there is room for the next batch.
ROOM_BYTES: Final = 64 << 10
# A client that takes nothing for so long while there is more for it: its machine may be gone.
SLOW_NS: Final = 10_000_000_000
# Requests of which a session remembers that they were answered: as many as may be unanswered.
ANSWERED_MAX: Final = 10_000

_NS_PER_MS: Final = 1_000_000


class Hold(Exception):
    """A request that waits: it is tried again. The text says for what."""


class Wire(Protocol):
    def write(self, data: bytes) -> None: ...

    def unsent(self) -> int:
        """Bytes that the socket has not taken."""

    def pause(self) -> None:
        """Read no more, until `resume`. Both may be called twice."""

    def resume(self) -> None: ...

    def close(self) -> None:
        """When what was written has left."""

    def abort(self) -> None: ...


class Desk(Protocol):
    """The door as a session needs it (gateways/binary/door.py)."""

    def login(self, session: Session, login: Login) -> None:
        """Raises Refusal, Hold."""

    def request(self, session: Session, request: Request) -> Refused | None:
        """Raises Hold."""

    def held(self, session: Session) -> None:
        """It has to be told to go on, again and again."""

    def ended(self, session: Session, in_order: bool) -> None: ...


class Session:
    """Now is an argument, in ns of a clock that never goes back."""

    def __init__(self, desk: Desk, wire: Wire, now_ns: int) -> None:
        self.wire = wire
        self.account = 0  # 0: not logged in
        self.heartbeat_ns = 0
        self.next_seq = 0  # events before it are not told
        self.position = 0  # in the log, where it is told on from while it is behind
        self.is_live = False
        self.has_ended = False
        self.is_held = False
        self._answered: dict[int, None] = {}
        self._desk = desk
        self._frames = Frames(FROM_CLIENT)
        self._waiting: Message | None = None
        self._now_ns = self._began_ns = self._heard_ns = self._said_ns = now_ns
        self._stuck_since_ns = 0
        self._unsent_before = 0

    # --- in ---------------------------------------------------------------------------------------------

    def received(self, data: bytes, now_ns: int) -> None:
        if self.has_ended:
            return
        self._now_ns = self._heard_ns = now_ns
        self._frames.feed(data)
        self.go_on()

    def go_on(self) -> None:
        """Takes what has come, until something has to wait."""
        try:
            while not self.has_ended:
                if self.wire.unsent() > UNSENT_BYTES_MAX:
                    self._hold()
                    return
                if self._waiting is None:
                    raw = self._frames.next()
                    if raw is None:
                        break
                    self._waiting = decode(raw)
                self._take(self._waiting)
                self._waiting = None
        except Hold:
            self._hold()
            return
        except FrameError as error:
            self.end(Code.GARBAGE, str(error))
            return
        if self.is_held and not self.has_ended:
            self.is_held = False
            self.wire.resume()

    def _hold(self) -> None:
        self.is_held = True
        self.wire.pause()
        self._desk.held(self)

    def _take(self, message: Message) -> None:
        if self.account == 0:
            if isinstance(message, Login):
                self._login(message)
            else:
                self.end(Code.GARBAGE, f"kind {int(message.KIND)} before Login; send Login (1) first")
        elif isinstance(message, NewOrder | Cancel | Replace):
            answer = self._desk.request(self, message)
            if answer is not None:
                self.say(answer)
        elif isinstance(message, Logout):
            self.end(Code.LOGGED_OUT, "", in_order=True)
        elif isinstance(message, Login):
            self.end(Code.GARBAGE, "kind 1 in a session; one Login is enough")

    def _login(self, login: Login) -> None:
        try:
            self._desk.login(self, login)
        except Refusal as no:
            self.refuse(no)

    # --- out --------------------------------------------------------------------------------------------

    def say(self, message: Message) -> None:
        self.tell(encode(message))

    def tell(self, data: bytes) -> None:
        """Whole messages."""
        if data and not self.has_ended:
            self._said_ns = self._now_ns
            self.wire.write(data)

    def refuse(self, why: Refusal) -> None:
        """Answers the Login, or what was to be one, and closes."""
        self.say(LoginRejected(int(why.code), value=why.value, text=str(why)))
        self._finish()

    def end(self, code: Code, text: str, value: int = 0, in_order: bool = False) -> None:
        """Says Logout and closes."""
        if self.has_ended:
            return
        self.say(Logout(int(code), value=value, text=text))
        self._finish(in_order)

    def lost(self) -> None:
        """The connection is gone."""
        if not self.has_ended:
            self._finish()

    def cut_off(self) -> None:
        """Closes without a word: nobody reads."""
        self.wire.abort()
        self.lost()

    def _finish(self, in_order: bool = False) -> None:
        self.has_ended = True
        self._waiting = None
        self.wire.close()
        if self.account:
            self._desk.ended(self, in_order)

    # --- clocks -----------------------------------------------------------------------------------------

    def tick(self, now_ns: int, last_seq: int) -> None:
        """Several times in the shortest heartbeat. `last_seq`: what this session has been told of the log is complete
        up to there."""
        self._now_ns = now_ns
        if self.account == 0:
            if now_ns - self._began_ns > LOGIN_NS and not self.has_ended:
                most = LOGIN_NS // _NS_PER_MS
                text = f"no Login within {most} ms; send it at once"
                self.refuse(Refusal(Code.LOGIN_LATE, text, most))
            return
        if now_ns - self._heard_ns > HEARTBEATS_MISSED_MAX * self.heartbeat_ns and not self.is_held:
            silence_ms = (now_ns - self._heard_ns) // _NS_PER_MS
            self.end(Code.SILENT, f"nothing came for {silence_ms} ms; send Heartbeat (4)", silence_ms)
        elif self._is_stuck(now_ns):
            log.warning("the client of account %d does not read: cut off", self.account)
            self.cut_off()
        elif now_ns - self._said_ns >= self.heartbeat_ns and self.wire.unsent() < ROOM_BYTES:
            self.say(Heartbeat(last_seq))

    def _is_stuck(self, now_ns: int) -> bool:
        unsent = self.wire.unsent()
        if unsent < ROOM_BYTES or unsent < self._unsent_before or self._stuck_since_ns == 0:
            self._stuck_since_ns = now_ns
        self._unsent_before = unsent
        return now_ns - self._stuck_since_ns >= SLOW_NS

    # --- what was answered ------------------------------------------------------------------------------

    def note_answer(self, request_id: int) -> None:
        """The client is told the answer of this request of its account."""
        if len(self._answered) >= ANSWERED_MAX:
            del self._answered[next(iter(self._answered))]
        self._answered[request_id] = None

    def was_answered(self, request_id: int) -> bool:
        return request_id in self._answered
