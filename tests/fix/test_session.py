"""The session driven from lists in memory. Names and scenarios are those of QuickFIX's acceptance files,
which follow the FIX session layer test cases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fix import session_gap
from fix.codec import encode, parse
from fix.session import (
    TRANSITIONS,
    Disconnect,
    Event,
    Input,
    LoggedOn,
    NumbersReset,
    Received,
    ResendRequested,
    Role,
    Session,
    SessionConfig,
    State,
    Stored,
)
from tests.fix.wire import NOON_NS, SECOND_NS, fix, from_peer, show

LOGON = "98=0|108=30"


class Talk:
    """A session, the time, and all that it has said. The peer is TW, we are ISLD."""

    def __init__(self, role: Role = Role.ACCEPTOR, next_in: int = 1, next_out: int = 1) -> None:
        self.session = Session(SessionConfig("ISLD", "TW", role), next_in, next_out)
        self.now_ns = NOON_NS
        self.events: list[Event] = []
        self.sent: list[bytes] = []
        self.session.connected(self.now_ns)

    def hear(self, msg_type: str, seq: int, body: str = "", **changed: str) -> list[str]:
        return self.hear_raw(from_peer(msg_type, seq, body, self.now_ns, **changed))

    def hear_raw(self, raw: bytes) -> list[str]:
        """What the session says to it."""
        self.events += self.session.receive(raw, self.now_ns)
        return self.said()

    def said(self) -> list[str]:
        raws = [sent.raw for sent in self.session.take_outgoing() if sent.live]
        self.sent += raws
        return [show(raw) for raw in raws]

    def wait(self, seconds: float) -> list[str]:
        self.now_ns += int(seconds * SECOND_NS)
        self.events += self.session.tick(self.now_ns)
        return self.said()

    def received(self) -> list[int]:
        return [event.message.seq for event in self.events if isinstance(event, Received)]

    def ended(self) -> str | None:
        return next((event.reason for event in self.events if isinstance(event, Disconnect)), None)


@pytest.fixture
def talk() -> Talk:
    """An acceptor, logged on; the next message either way is number 2."""
    talk = Talk()
    assert talk.hear("A", 1, LOGON) == ["35=A|34=1|98=0|108=30"]
    assert talk.session.is_logged_on
    return talk


def test_1a_valid_logon_as_initiator() -> None:
    talk = Talk(Role.INITIATOR)
    assert talk.said() == ["35=A|34=1|98=0|108=30"]
    assert talk.hear("A", 1, LOGON) == []
    assert [type(event) for event in talk.events] == [LoggedOn]


def test_1a_logon_with_a_sequence_number_too_high_is_answered_and_the_gap_asked_for() -> None:
    talk = Talk()
    assert talk.hear("A", 5, LOGON) == ["35=A|34=1|98=0|108=30", "35=2|34=2|7=1|16=0"]
    assert talk.hear("4", 1, "43=Y|122=<TIME>|123=Y|36=6") == []
    assert talk.session.next_in == 6


def test_1c_logon_with_a_sequence_number_too_low_ends_in_a_logout() -> None:
    talk = Talk(next_in=10)
    assert talk.hear("A", 3, LOGON) == ["35=5|34=1|58=MsgSeqNum too low, expecting 10 but received 3"]
    assert talk.ended()


def test_1d_reset_logon_begins_both_numbers_again() -> None:
    talk = Talk(next_in=10, next_out=20)
    assert talk.hear("A", 1, LOGON + "|141=Y") == ["35=A|34=1|98=0|108=30|141=Y"]
    assert (talk.session.next_in, talk.session.next_out) == (2, 2)
    assert NumbersReset in [type(event) for event in talk.events]


def test_1d_reset_asked_by_an_initiator() -> None:
    session = Session(SessionConfig("ISLD", "TW", Role.INITIATOR), 10, 20)
    session.connected(NOON_NS, reset=True)
    assert [show(sent.raw) for sent in session.take_outgoing()] == ["35=A|34=1|98=0|108=30|141=Y"]
    events = list(session.receive(from_peer("A", 1, LOGON + "|141=Y"), NOON_NS))
    assert [type(event) for event in events] == [NumbersReset, LoggedOn]
    assert (session.next_in, session.next_out) == (2, 2)


def test_1e_a_first_message_that_is_no_logon_ends_without_an_answer() -> None:
    talk = Talk()
    assert talk.hear("1", 1, "112=hello") == []
    assert talk.ended() is not None


def test_logon_without_heartbeat_interval_is_not_let_in() -> None:
    talk = Talk()
    talk.hear("A", 1, "98=0")
    assert "Required tag missing, tag 108" in (talk.ended() or "")


def test_logon_refused_by_the_peer_is_an_end() -> None:
    talk = Talk(Role.INITIATOR)
    talk.said()
    talk.hear("5", 1, "58=wrong password")
    assert talk.ended() == "Logout wrong password"
    assert talk.session.logout_text == "wrong password"


def test_2a_msg_seq_num_as_expected(talk: Talk) -> None:
    talk.hear("D", 2, "11=A")
    talk.hear("D", 3, "11=B")
    assert talk.received() == [2, 3]


def test_2b_msg_seq_num_too_high_asks_once_and_keeps_what_came(talk: Talk) -> None:
    assert talk.hear("D", 4, "11=C") == ["35=2|34=2|7=2|16=0"]
    assert talk.hear("D", 5, "11=D") == []
    assert talk.received() == []
    for seq, order in ((2, "A"), (3, "B")):
        assert talk.hear("D", seq, f"43=Y|122=<TIME>|11={order}") == []
    assert talk.received() == [2, 3, 4, 5]
    assert talk.hear("D", 4, "43=Y|122=<TIME>|11=C") == []
    assert talk.received() == [2, 3, 4, 5], "the rest of the resend is known already"


def test_2c_msg_seq_num_too_low_without_poss_dup_ends_the_session(talk: Talk) -> None:
    talk.hear("0", 2)
    assert talk.hear("0", 2) == ["35=5|34=2|58=MsgSeqNum too low, expecting 3 but received 2"]
    assert talk.ended()


def test_2d_garbled_message_is_ignored_and_takes_no_number(talk: Talk) -> None:
    broken = from_peer("D", 2, "11=A").replace(b"11=A", b"11=B")
    assert talk.hear_raw(broken) == []
    talk.hear("D", 2, "11=A")
    assert talk.received() == [2]
    assert talk.session.garbled == 1


def test_2e_poss_dup_already_received_is_dropped(talk: Talk) -> None:
    talk.hear("D", 2, "11=A")
    assert talk.hear("D", 2, "43=Y|122=<TIME>|11=A") == []
    assert talk.received() == [2]


def test_2f_poss_dup_with_orig_sending_time_after_sending_time(talk: Talk) -> None:
    answers = talk.hear("D", 2, "43=Y|122=20991231-00:00:00|11=A")
    assert answers == [
        "35=3|34=2|45=2|58=SendingTime accuracy problem|371=122|372=D|373=10",
        "35=5|34=3|58=SendingTime accuracy problem",
    ]


def test_2g_poss_dup_without_orig_sending_time_is_rejected(talk: Talk) -> None:
    assert talk.hear("D", 2, "43=Y|11=A") == ["35=3|34=2|45=2|58=Required tag missing|371=122|372=D|373=1"]
    assert talk.session.next_in == 3


def test_2i_begin_string_of_another_version_ends_the_session(talk: Talk) -> None:
    other = encode("FIX.4.2", parse(from_peer("0", 2)).fields[2:-1])
    assert talk.hear_raw(other) == ["35=5|34=2|58=Incorrect BeginString"]
    assert talk.ended() is None, "the peer may answer"
    talk.wait(2)
    assert talk.ended()


@pytest.mark.parametrize("who", ["sender", "target"])
def test_2k_comp_id_of_somebody_else(talk: Talk, who: str) -> None:
    assert talk.hear("0", 2, **{who: "OTHER"}) == [
        "35=3|34=2|45=2|58=CompID problem|372=0|373=9",
        "35=5|34=3|58=CompID problem",
    ]
    assert talk.hear("5", 3) == []
    assert talk.ended() == "Logout"


def test_2o_sending_time_two_minutes_off(talk: Talk) -> None:
    raw = from_peer("0", 2, now_ns=talk.now_ns - 121 * SECOND_NS)
    assert talk.hear_raw(raw) == [
        "35=3|34=2|45=2|58=SendingTime accuracy problem|371=52|372=0|373=10",
        "35=5|34=3|58=SendingTime accuracy problem",
    ]


def test_2t_msg_seq_num_missing_ends_the_session(talk: Talk) -> None:
    answers = talk.hear_raw(fix("35=0|49=TW|52=<TIME>|56=ISLD"))
    assert answers == ["35=5|34=2|58=MsgSeqNum (34) is missing; it must be a number from 1"]


def test_4a_nothing_sent_for_the_interval_gives_a_heartbeat(talk: Talk) -> None:
    assert talk.wait(29.9) == []
    assert talk.wait(0.2) == ["35=0|34=2"]


def test_4b_test_request_is_answered_with_its_id(talk: Talk) -> None:
    assert talk.hear("1", 2, "112=hello") == ["35=0|34=2|112=hello"]


def test_6_silence_gives_a_test_request_and_then_the_end(talk: Talk) -> None:
    talk.wait(30)
    assert talk.wait(6) == ["35=1|34=3|112=TEST"]
    assert talk.wait(29) == [], "no heartbeat while the answer is awaited"
    assert talk.wait(7) == []
    assert "nothing received for 72 s" in (talk.ended() or "")


def test_6_any_message_answers_a_test_request(talk: Talk) -> None:
    talk.wait(36)
    talk.hear("0", 2, "112=TEST")
    assert talk.wait(35) == ["35=0|34=3"]
    assert talk.ended() is None


def test_6_noise_is_no_sign_of_life(talk: Talk) -> None:
    for _ in range(72):
        talk.hear_raw(b"8=FIX.4.4\x019=5\x01noise\x01")
        talk.wait(1)
    assert "nothing received" in (talk.ended() or "")


def test_7_reject_of_ours_reaches_the_application(talk: Talk) -> None:
    talk.hear("3", 2, "45=1|58=no")
    assert talk.received() == [2]


def test_8_resend_of_application_messages_only() -> None:
    talk = Talk()
    talk.hear("A", 1, LOGON)
    for order in ("A", "B"):
        talk.session.send("8", [(11, order)], talk.now_ns)
    talk.hear("1", 2, "112=x")
    talk.session.send("8", [(11, "C")], talk.now_ns)
    talk.said()
    talk.hear("2", 3, "7=1|16=0")
    assert talk.events[-1] == ResendRequested(1, 5)
    stored = [Stored(seq, talk.sent[seq - 1]) for seq in (2, 3, 5)]
    talk.now_ns += SECOND_NS
    again = [show(raw) for raw in talk.session.replay(1, 5, stored, talk.now_ns)]
    assert again == [
        "35=4|34=1|43=Y|36=2|123=Y",
        "35=8|34=2|43=Y|11=A",
        "35=8|34=3|43=Y|11=B",
        "35=4|34=4|43=Y|36=5|123=Y",
        "35=8|34=5|43=Y|11=C",
    ]


def test_8_resent_message_says_when_it_was_first_sent(talk: Talk) -> None:
    raw = talk.session.send("8", [(11, "A")], talk.now_ns).raw
    (again,) = talk.session.replay(2, 2, [Stored(2, raw)], talk.now_ns + SECOND_NS)
    assert parse(again).get(122) == parse(raw).get(52)
    assert parse(again).get(52) != parse(raw).get(52)


def test_8_only_admin_messages_collapse_to_one_gap_fill(talk: Talk) -> None:
    assert [show(raw) for raw in talk.session.replay(1, 7, [], talk.now_ns)] == ["35=4|34=1|43=Y|36=8|123=Y"]


def test_8_resend_request_above_a_gap_is_answered_at_once(talk: Talk) -> None:
    assert talk.hear("2", 4, "7=1|16=0") == ["35=2|34=2|7=2|16=0"]
    assert talk.events[-1] == ResendRequested(1, 1)
    talk.hear("4", 2, "43=Y|122=<TIME>|123=Y|36=4")
    assert talk.session.next_in == 5
    assert len([e for e in talk.events if isinstance(e, ResendRequested)]) == 1


def test_8_a_gap_that_is_not_filled_is_asked_for_again_and_then_given_up(talk: Talk) -> None:
    assert talk.hear("D", 5, "11=D") == ["35=2|34=2|7=2|16=0"]
    for number in (3, 4):
        assert talk.wait(10) == [f"35=2|34={number}|7=2|16=0"]
    assert talk.wait(10) == ["35=5|34=5|58=2 to 4 did not come after 3 resend requests"]
    assert talk.ended()


def test_8_messages_that_did_not_fit_above_a_gap_are_asked_for_when_it_is_closed(
    monkeypatch: pytest.MonkeyPatch, talk: Talk
) -> None:
    monkeypatch.setattr(session_gap, "QUEUED_MESSAGES_MAX", 2)
    for seq in (3, 4, 5, 6):
        talk.hear("D", seq, "11=X")
    assert talk.hear("D", 2, "43=Y|122=<TIME>|11=X") == ["35=2|34=3|7=5|16=0"]
    assert talk.received() == [2, 3, 4]


def test_10_gap_fill_moves_the_expected_number(talk: Talk) -> None:
    talk.hear("4", 2, "123=Y|36=20")
    assert talk.session.next_in == 20


def test_10_gap_fill_that_goes_back_is_rejected(talk: Talk) -> None:
    reject = "35=3|34=2|45=2|58=Value is incorrect (out of range) for this tag|371=36|372=4|373=5"
    assert talk.hear("4", 2, "123=Y|36=2") == [reject]


def test_11_sequence_reset_takes_any_number_and_goes_up_only(talk: Talk) -> None:
    talk.hear("4", 1, "36=20")
    assert talk.session.next_in == 20
    assert talk.hear("4", 20, "36=3")[0].startswith("35=3|34=2|45=20|58=Value is incorrect")


def test_13a_logout_is_answered(talk: Talk) -> None:
    assert talk.hear("5", 2, "58=bye") == ["35=5|34=2"]
    assert talk.ended() == "Logout bye"


def test_13b_logout_asked_by_us_waits_for_the_answer(talk: Talk) -> None:
    talk.session.logout("closing", talk.now_ns)
    assert talk.said() == ["35=5|34=2|58=closing"]
    talk.hear("D", 2, "11=A")
    assert talk.received() == [2]
    assert talk.hear("5", 3) == []
    assert talk.ended() is not None


def test_13b_unanswered_logout_ends_after_two_seconds(talk: Talk) -> None:
    talk.session.logout("closing", talk.now_ns)
    talk.wait(2)
    assert "no answer to our Logout" in (talk.ended() or "")


@pytest.mark.parametrize(
    ("body", "reject"),
    [
        ("58=", "45=2|58=Tag specified without a value|371=58|372=D|373=4"),
        ("x=1", "45=2|58=Invalid tag number|372=D|373=0"),
    ],
)
def test_14_a_field_that_can_not_be_read_is_rejected(talk: Talk, body: str, reject: str) -> None:
    head = parse(from_peer("D", 2)).fields[2:-1]
    raw = "".join(f"{t}={v}\x01" for t, v in head) + body + "\x01"
    frame = f"8=FIX.4.4\x019={len(raw)}\x01{raw}".encode()
    frame += b"10=%03d\x01" % (sum(frame) & 255)
    assert talk.hear_raw(frame) == ["35=3|34=2|" + reject]
    talk.hear("D", 3, "11=A")
    assert talk.received() == [3]


@pytest.mark.parametrize(("msg_type", "tag"), [("1", 112), ("2", 7), ("4", 36)])
def test_14_a_required_tag_of_the_session_that_is_missing(talk: Talk, msg_type: str, tag: int) -> None:
    body = "123=Y" if msg_type == "4" else ""
    assert talk.hear(msg_type, 2, body) == [
        f"35=3|34=2|45=2|58=Required tag missing|371={tag}|372={msg_type}|373=1"
    ]
    assert talk.session.next_in == 3


def test_14_a_number_that_is_none(talk: Talk) -> None:
    assert talk.hear("2", 2, "7=one|16=0") == [
        "35=3|34=2|45=2|58=Incorrect data format for value|371=7|372=2|373=6"
    ]


def test_no_logon_within_ten_seconds_is_the_end() -> None:
    talk = Talk()
    talk.wait(10)
    assert talk.ended() == "no Logon within 10 s"


def test_what_is_sent_while_the_logon_is_under_way_is_sent_after_it() -> None:
    talk = Talk(Role.INITIATOR)
    talk.session.send("D", [(11, "A")], talk.now_ns)
    assert talk.said() == ["35=A|34=1|98=0|108=30"], "the order waits"
    talk.hear("A", 1, LOGON)
    assert [type(event) for event in talk.events] == [ResendRequested, LoggedOn]
    assert talk.events[0] == ResendRequested(2, 2)


def test_what_the_application_sends_at_a_message_goes_before_the_answer_to_the_next(talk: Talk) -> None:
    both = from_peer("D", 2, "11=A") + from_peer("1", 3, "112=x")
    for event in talk.session.receive(both, talk.now_ns):
        assert isinstance(event, Received)
        talk.session.send("8", [(11, "A")], talk.now_ns)
    assert talk.said() == ["35=8|34=2|11=A", "35=0|34=3|112=x"]


def test_a_lost_connection_forgets_what_was_cut_and_what_waited_above_a_gap(talk: Talk) -> None:
    talk.hear("D", 4, "11=C")
    talk.hear_raw(from_peer("D", 5)[:20])
    talk.session.disconnected()
    talk.session.connected(talk.now_ns)
    assert talk.hear("A", 5, LOGON) == ["35=A|34=3|98=0|108=30", "35=2|34=4|7=2|16=0"]


def test_silence_of_a_peer_that_is_not_read_is_no_fault_of_its(talk: Talk) -> None:
    for _ in range(100):
        talk.session.not_reading(talk.now_ns)
        assert all(line.startswith("35=0") for line in talk.wait(1))
    assert talk.ended() is None


def test_every_connected_state_has_an_end() -> None:
    for state in State:
        assert TRANSITIONS[state, Input.LOST] is State.DISCONNECTED
        if state is not State.DISCONNECTED:
            assert TRANSITIONS[state, Input.FAIL] is State.ENDED


def test_the_peers_of_two_sessions_agree_whatever_is_lost() -> None:
    """Two sessions, each with its outbox, over a connection that is cut at every possible place of a talk."""
    whole = _talk_cut_at(10**6)
    assert whole == ([f"order {i}" for i in range(6)], [f"report {i}" for i in range(6)])
    for cut in range(0, 1500, 7):
        assert _talk_cut_at(cut) == whole, f"cut after {cut} bytes"


def _talk_cut_at(cut: int) -> tuple[list[str], list[str]]:
    ours = _Outbox(Session(SessionConfig("TW", "SIM", Role.INITIATOR)))
    theirs = _Outbox(Session(SessionConfig("SIM", "TW", Role.ACCEPTOR)), answer=lambda i: f"report {i}")
    for life in range(2):
        theirs.session.connected(NOON_NS)
        ours.session.connected(NOON_NS)
        left = cut if life == 0 else 10**6
        for turn in range(40):
            if turn in (4, 5, 6) and life == 0:
                for i in range(2 * (turn - 4), 2 * (turn - 4) + 2):
                    ours.say(f"order {i}")
            for here, there in ((ours, theirs), (theirs, ours)):
                raw = here.take()[: max(left, 0)]
                left -= len(raw)
                there.hear(raw)
        for side in (ours, theirs):
            side.take()
            side.session.disconnected()
    return theirs.heard, ours.heard


class _Outbox:
    """A session with a store in memory."""

    def __init__(self, session: Session, answer: Callable[[int], str] | None = None) -> None:
        self.session = session
        self.heard: list[str] = []
        self._answer = answer
        self._stored: list[Stored] = []
        self._wire = b""

    def say(self, text: str) -> None:
        self.session.send("B", [(58, text)], NOON_NS)

    def hear(self, raw: bytes) -> None:
        for event in self.session.receive(raw, NOON_NS):
            if isinstance(event, Received):
                self.heard.append(event.message.require(58))
                if self._answer is not None:
                    self.say(self._answer(len(self.heard) - 1))
            elif isinstance(event, ResendRequested):
                self._flush()
                stored = [s for s in self._stored if event.begin <= s.seq <= event.end]
                self._wire += b"".join(self.session.replay(event.begin, event.end, stored, NOON_NS))

    def take(self) -> bytes:
        self._flush()
        raw, self._wire = self._wire, b""
        return raw

    def _flush(self) -> None:
        for sent in self.session.take_outgoing():
            if not sent.admin:
                self._stored.append(Stored(sent.seq, sent.raw))
            if sent.live:
                self._wire += sent.raw
