"""One connection without a socket: its Login, its clocks, and what waits."""

from __future__ import annotations

import pytest

from gateways.binary.framing import Frames
from gateways.binary.layout import FROM_DOOR, Code
from gateways.binary.messages import (
    Heartbeat,
    Login,
    LoginRejected,
    Logout,
    Message,
    NewOrder,
    Refused,
    Request,
    decode,
    encode,
)
from gateways.binary.requests import Refusal
from gateways.binary.session import (
    ANSWERED_MAX,
    LOGIN_NS,
    ROOM_BYTES,
    SLOW_NS,
    UNSENT_BYTES_MAX,
    Hold,
    Session,
)
from tests.gateways.test_binary_layout import AN_ORDER

SECOND = 1_000_000_000


class Line:
    """A wire that takes everything, and shows it."""

    def __init__(self) -> None:
        self.frames = Frames(FROM_DOOR)
        self.stuck_bytes = 0
        self.is_paused = self.is_closed = self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.frames.feed(data)

    def unsent(self) -> int:
        return self.stuck_bytes

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def said(self) -> list[Message]:
        found = []
        while (raw := self.frames.next()) is not None:
            found.append(decode(raw))
        return found


class Desk:
    """A door that lets everyone in but "nobody", and takes requests while it has room."""

    def __init__(self) -> None:
        self.taken: list[Request] = []
        self.room = 1_000_000
        self.waiting: list[Session] = []
        self.gone: list[bool] = []

    def login(self, session: Session, login: Login) -> None:
        if login.key_id == "nobody":
            raise Refusal(Code.KEY_WRONG, "key_id or secret is wrong")
        session.account, session.heartbeat_ns = 1, SECOND

    def request(self, session: Session, request: Request) -> Refused | None:
        if self.room == 0:
            raise Hold("no room")
        self.room -= 1
        self.taken.append(request)
        return Refused(request.request_id, 1002, 10) if request.flags else None

    def held(self, session: Session) -> None:
        self.waiting.append(session)

    def ended(self, session: Session, in_order: bool) -> None:
        self.gone.append(in_order)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def session(desk: Desk, line: Line) -> Session:
    """Logged in."""
    made = Session(desk, line, 0)
    made.received(encode(Login("KEY1", "s")), 0)
    return made


def order(request_id: int, flags: int = 0) -> bytes:
    values = {field: getattr(AN_ORDER, field) for field in AN_ORDER.__struct_fields__}
    return encode(NewOrder(**{**values, "request_id": request_id, "flags": flags}))


def ids(desk: Desk) -> list[int]:
    return [request.request_id for request in desk.taken]


def test_who_sends_no_login_is_told_and_closed(desk: Desk, line: Line) -> None:
    session = Session(desk, line, 0)
    session.tick(LOGIN_NS, 0)
    assert line.said() == []
    session.tick(LOGIN_NS + 1, 0)
    (answer,) = line.said()
    assert isinstance(answer, LoginRejected)
    assert (answer.code, answer.value, line.is_closed) == (Code.LOGIN_LATE, 5000, True)
    assert desk.gone == []


def test_a_wrong_key_is_told_and_closed(desk: Desk, line: Line) -> None:
    session = Session(desk, line, 0)
    session.received(encode(Login("nobody", "s")) + order(1), 0)
    (answer,) = line.said()
    assert isinstance(answer, LoginRejected)
    assert (answer.code, line.is_closed) == (Code.KEY_WRONG, True)
    assert desk.taken == []


@pytest.mark.parametrize("first", [order(1), b"GET / HTTP/1.1\r\n\r\n", encode(Heartbeat())])
def test_what_is_no_login_ends_a_connection_that_has_none(desk: Desk, line: Line, first: bytes) -> None:
    Session(desk, line, 0).received(first, 0)
    (answer,) = line.said()
    assert isinstance(answer, Logout)
    assert (answer.code, line.is_closed) == (Code.GARBAGE, True)
    assert desk.taken == []


def test_garbage_ends_a_session_and_what_was_whole_before_it_counts(
    desk: Desk, line: Line, session: Session
) -> None:
    session.received(order(1) + b"\x00" * 8 + order(2), 0)
    (answer,) = line.said()
    assert isinstance(answer, Logout)
    assert answer.text == "magic 0x0000 at byte 328; messages begin with 0x5754"
    assert (ids(desk), desk.gone, line.is_closed) == ([1], [False], True)
    session.received(order(3), 1)
    assert ids(desk) == [1]


def test_a_second_login_ends_the_session(desk: Desk, line: Line, session: Session) -> None:
    session.received(encode(Login("KEY1", "s")), 0)
    assert [type(each) for each in line.said()] == [Logout]
    assert desk.gone == [False]


def test_a_logout_is_answered_and_ends_in_order(desk: Desk, line: Line, session: Session) -> None:
    session.received(order(1) + encode(Logout()), 0)
    (answer,) = line.said()
    assert isinstance(answer, Logout)
    assert (answer.code, desk.gone, ids(desk)) == (Code.LOGGED_OUT, [True], [1])


def test_what_waits_stops_the_socket_and_goes_on_in_its_order(
    desk: Desk, line: Line, session: Session
) -> None:
    desk.room = 1
    session.received(order(1) + order(2) + order(3)[:50], 0)
    assert (ids(desk), line.is_paused, desk.waiting) == ([1], True, [session])
    session.received(order(3)[50:], 0)
    desk.room = 10
    session.go_on()
    assert (ids(desk), line.is_paused) == ([1, 2, 3], False)


def test_a_session_breaks_at_every_offset_alike(desk: Desk) -> None:
    sent = encode(Login("KEY1", "s")) + order(1) + order(2, flags=1) + encode(Heartbeat()) + encode(Logout())
    for at in range(len(sent)):
        line, desk = Line(), Desk()
        session = Session(desk, line, 0)
        session.received(sent[:at], 0)
        session.received(sent[at:], 0)
        assert (ids(desk), desk.gone) == ([1, 2], [True]), at
        assert [type(each) for each in line.said()] == [Refused, Logout], at


def test_heartbeats_are_said_when_nothing_else_was(line: Line, session: Session) -> None:
    session.tick(SECOND - 1, 41)
    assert line.said() == []
    session.tick(SECOND, 41)
    assert line.said() == [Heartbeat(41)]
    session.tick(SECOND + 1, 42)
    assert line.said() == []


def test_a_silent_client_is_taken_for_gone(desk: Desk, line: Line, session: Session) -> None:
    session.received(encode(Heartbeat()), SECOND)
    session.tick(4 * SECOND, 1)
    assert line.said() == [Heartbeat(1)]
    session.tick(4 * SECOND + 1, 1)
    (answer,) = line.said()
    assert isinstance(answer, Logout)
    assert (answer.code, answer.value, desk.gone) == (Code.SILENT, 3000, [False])


def test_a_client_that_asks_and_does_not_read_is_not_read_either(
    desk: Desk, line: Line, session: Session
) -> None:
    line.stuck_bytes = UNSENT_BYTES_MAX + 1
    session.received(order(1, flags=1) * 3, 0)
    assert (ids(desk), line.is_paused) == ([], True)
    line.stuck_bytes = 0
    session.go_on()
    assert (len(ids(desk)), line.is_paused) == (3, False)


def test_a_client_that_takes_nothing_is_cut_off_and_one_that_is_slow_is_not(
    desk: Desk, line: Line, session: Session
) -> None:
    line.stuck_bytes = ROOM_BYTES * 2
    for second in range(3 * SLOW_NS // SECOND):
        line.stuck_bytes -= 1
        session.received(encode(Heartbeat()), second * SECOND)
        session.tick(second * SECOND, 0)
    assert not line.is_aborted
    stopped = second * SECOND
    session.received(encode(Heartbeat()), stopped + SLOW_NS)
    session.tick(stopped + SLOW_NS, 0)
    assert (line.is_aborted, desk.gone) == (True, [False])


def test_the_newest_answers_are_remembered_and_no_more(session: Session) -> None:
    for request_id in range(ANSWERED_MAX + 5):
        session.note_answer(request_id)
    assert not session.was_answered(4)
    assert session.was_answered(5)
    assert session.was_answered(ANSWERED_MAX + 4)
