"""What a session can be told to do, driven from lists: versions, resets, resends in pieces, 789, 369, validation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.codec import encode, parse
from fix.dictionary import load
from fix.quickfix_framing import QuickFixFramer
from fix.session import (
    Disconnect,
    Event,
    LoggedOn,
    NumbersReset,
    Received,
    ResendRequested,
    Role,
    Session,
    SessionConfig,
    Stored,
)
from fix.validation import Validator
from tests.fix.wire import NOON_NS, SECOND_NS, from_peer, show

LOGON = "98=0|108=30"


class Talk:
    """A session as it is configured, and all that it has said. The peer is TW, we are ISLD."""

    def __init__(
        self, next_in: int = 1, next_out: int = 1, role: Role = Role.ACCEPTOR, **options: Any
    ) -> None:
        self.session = Session(SessionConfig("ISLD", "TW", role, **options), next_in, next_out)
        self.now_ns = NOON_NS
        self.events: list[Event] = []
        self.session.connected(self.now_ns)

    def hear(self, msg_type: str, seq: int, body: str = "") -> list[str]:
        return self.hear_raw(from_peer(msg_type, seq, body, self.now_ns))

    def hear_raw(self, raw: bytes) -> list[str]:
        version = self.session.config.begin_string
        raw = encode(version, parse(raw).fields[2:-1])
        self.events += self.session.receive(raw, self.now_ns)
        return self.said()

    def said(self) -> list[str]:
        return [show(sent.raw) for sent in self.session.take_outgoing() if sent.live]

    def wait(self, seconds: float) -> list[str]:
        self.now_ns += int(seconds * SECOND_NS)
        self.events += self.session.tick(self.now_ns)
        return self.said()

    def lose(self) -> list[Event]:
        return self.session.disconnected()

    def resends(self) -> list[tuple[int, int]]:
        return [(e.begin, e.end) for e in self.events if isinstance(e, ResendRequested)]

    def ended(self) -> str | None:
        return next((event.reason for event in self.events if isinstance(event, Disconnect)), None)


# --- versions ---------------------------------------------------------------------------------------------


def test_fixt_names_the_application_version_in_both_logons() -> None:
    talk = Talk(begin_string="FIXT.1.1", appl_ver_id="9")
    assert talk.hear("A", 1, LOGON + "|1137=9") == ["35=A|34=1|98=0|108=30|1137=9"]


def test_fixt_logon_without_an_application_version_gets_no_answer() -> None:
    talk = Talk(begin_string="FIXT.1.1", appl_ver_id="9")
    assert talk.hear("A", 1, LOGON) == []
    assert "tag 1137" in (talk.ended() or "")


def test_fixt_logon_with_another_application_version_is_told_which_one_is_spoken() -> None:
    talk = Talk(begin_string="FIXT.1.1", appl_ver_id="9")
    said = talk.hear("A", 1, LOGON + "|1137=7")
    assert said == ["35=5|34=1|58=DefaultApplVerID (1137) is 7; this session speaks 9"]


def test_fix_4_2_leaves_out_a_reason_that_it_does_not_have() -> None:
    talk = Talk(begin_string="FIX.4.2", validator=Validator(load("FIX.4.2")))
    talk.hear("A", 1, LOGON)
    assert talk.hear("0", 2, "112=a|112=b") == ["35=3|34=2|45=2|58=Tag appears more than once|371=112|372=0"]


def test_fix_4_0_says_the_tag_in_the_text_and_has_whole_seconds() -> None:
    talk = Talk(begin_string="FIX.4.0")
    talk.hear("A", 1, LOGON)
    assert talk.hear("2", 2, "7=x|16=0") == ["35=3|34=2|45=2|58=Incorrect data format for value (7)"]
    assert talk.hear("0", 9) == ["35=2|34=3|7=3|16=999999"]
    raw = talk.session.send("0", [], talk.now_ns).raw
    assert parse(raw).get(52) == "20261124-12:00:00"


# --- headers ----------------------------------------------------------------------------------------------


def test_a_header_field_of_the_application_goes_into_the_header_and_stays_there_when_resent() -> None:
    talk = Talk()
    talk.hear("A", 1, LOGON)
    raw = talk.session.send("D", [(11, "A"), (97, "Y"), (115, "X")], talk.now_ns).raw
    assert [tag for tag, _ in parse(raw).fields] == [8, 9, 35, 34, 49, 52, 56, 97, 115, 11, 10]
    (again,) = talk.session.replay(2, 2, [Stored(2, raw)], talk.now_ns)
    assert [t for t, _ in parse(again).fields] == [8, 9, 35, 34, 43, 49, 52, 56, 97, 115, 122, 11, 10]


def test_a_reject_goes_back_the_way_that_the_message_came() -> None:
    talk = Talk(validator=Validator(load("FIX.4.4")))
    talk.hear("A", 1, LOGON)
    raw = from_peer("D", 2).replace(b"56=ISLD\x01", b"56=ISLD\x01115=JCD\x01116=CS\x01129=Q\x0111=A\x01")
    fields = parse(encode("FIX.4.4", [(t, v) for t, v in _fields(raw)])).fields
    said = talk.hear_raw(encode("FIX.4.4", fields[2:-1]))
    assert said == ["35=3|34=2|116=Q|128=JCD|129=CS|45=2|58=Required tag missing|371=40|372=D|373=1"]


def test_369_names_the_last_message_that_was_taken() -> None:
    talk = Talk(last_processed=True)
    assert talk.hear("A", 1, LOGON) == ["35=A|34=1|369=1|98=0|108=30"]
    assert talk.hear("1", 2, "112=x") == ["35=0|34=2|369=2|112=x"]
    assert talk.hear("2", 3, "7=x|16=0")[0].startswith("35=3|34=3|369=3|45=3")


# --- resets -----------------------------------------------------------------------------------------------


def test_reset_on_logon_of_an_acceptor() -> None:
    talk = Talk(10, 20, reset_on_logon=True)
    assert talk.hear("A", 1, LOGON) == ["35=A|34=1|98=0|108=30"]
    assert [type(event) for event in talk.events] == [NumbersReset, LoggedOn]


def test_reset_on_logon_of_an_initiator_says_so() -> None:
    talk = Talk(10, 20, Role.INITIATOR, reset_on_logon=True)
    assert talk.said() == ["35=A|34=1|98=0|108=30|141=Y"]


def test_reset_on_disconnect() -> None:
    talk = Talk(reset_on_disconnect=True)
    talk.hear("A", 1, LOGON)
    assert [type(event) for event in talk.lose()] == [NumbersReset]
    assert (talk.session.next_in, talk.session.next_out) == (1, 1)


def test_reset_on_logout_only_after_a_logout() -> None:
    talk = Talk(reset_on_logout=True)
    talk.hear("A", 1, LOGON)
    assert talk.lose() == []
    talk.session.connected(talk.now_ns)
    talk.hear("A", 2, LOGON)
    talk.hear("5", 3)
    assert [type(event) for event in talk.lose()] == [NumbersReset]


# --- gaps -------------------------------------------------------------------------------------------------


def test_a_gap_is_asked_for_in_pieces_and_the_last_one_without_an_end() -> None:
    talk = Talk(resend_chunk=5)
    talk.hear("A", 1, LOGON)
    assert talk.hear("D", 10, "11=X") == ["35=2|34=2|7=2|16=6"]
    for seq in range(2, 6):
        assert talk.hear("D", seq, "43=Y|122=<TIME>|11=X") == []
    assert talk.hear("D", 6, "43=Y|122=<TIME>|11=X") == ["35=2|34=3|7=7|16=0"]
    for seq in range(7, 10):
        assert talk.hear("D", seq, "43=Y|122=<TIME>|11=X") == []
    assert talk.session.next_in == 11


def test_a_piece_that_does_not_come_is_asked_for_again() -> None:
    talk = Talk(resend_chunk=2)
    talk.hear("A", 1, LOGON)
    assert talk.hear("D", 10, "11=X") == ["35=2|34=2|7=2|16=3"]
    assert talk.wait(10) == ["35=2|34=3|7=2|16=3"]


def test_789_says_what_is_expected_and_no_resend_request_is_needed() -> None:
    talk = Talk(1, 20, next_expected=True)
    assert talk.hear("A", 1, LOGON + "|789=15") == ["35=A|34=20|98=0|108=30|789=2"]
    assert talk.resends() == [(15, 20)]


def test_789_of_a_peer_that_lacks_nothing_resends_nothing() -> None:
    talk = Talk(1, 20, next_expected=True)
    talk.hear("A", 1, LOGON + "|789=20")
    assert talk.resends() == []


def test_789_above_what_was_sent_ends_the_session() -> None:
    talk = Talk(1, 20, next_expected=True)
    said = talk.hear("A", 1, LOGON + "|789=25")
    assert said == ["35=5|34=20|58=NextExpectedMsgSeqNum too high, expecting 20 but received 25"]
    assert talk.ended()


def test_789_with_a_gap_of_the_peer_waits_for_it_and_asks_when_nothing_comes() -> None:
    talk = Talk(5, 20, next_expected=True)
    assert talk.hear("A", 9, LOGON + "|789=20") == ["35=A|34=20|98=0|108=30|789=5"]
    assert talk.wait(10) == ["35=2|34=21|7=5|16=0"]


def test_789_of_two_sessions_of_ours_fills_both_gaps_without_asking() -> None:
    ours = Session(SessionConfig("TW", "ISLD", Role.INITIATOR, next_expected=True), 3, 8)
    theirs = Session(SessionConfig("ISLD", "TW", Role.ACCEPTOR, next_expected=True), 5, 6)
    ours.connected(NOON_NS)
    theirs.connected(NOON_NS)
    wires = {ours: b"", theirs: b""}  # what each has written and the other has not read

    def flush(session: Session) -> None:
        wires[session] += b"".join(sent.raw for sent in session.take_outgoing())

    for _ in range(4):
        for here, there in ((ours, theirs), (theirs, ours)):
            flush(here)
            raw, wires[here] = wires[here], b""
            assert b"\x0135=2\x01" not in raw, "nobody asks"
            for event in there.receive(raw, NOON_NS):
                if isinstance(event, ResendRequested):
                    flush(there)
                    wires[there] += b"".join(there.replay(event.begin, event.end, [], NOON_NS))
    assert (ours.next_in, theirs.next_in) == (theirs.next_out, ours.next_out)


def test_a_resend_request_with_a_number_too_low_is_answered() -> None:
    talk = Talk()
    talk.hear("A", 1, LOGON)
    talk.hear("0", 2)
    assert talk.hear("2", 1, "7=1|16=0") == []
    assert talk.resends() == [(1, 1)]
    assert talk.session.next_in == 3


def test_a_logon_while_we_log_out_ends_the_session() -> None:
    talk = Talk()
    talk.hear("A", 1, LOGON)
    talk.session.logout("", talk.now_ns)
    talk.said()
    talk.hear("A", 1, LOGON + "|141=Y")
    assert talk.ended()


# --- validation -------------------------------------------------------------------------------------------


def test_an_invalid_message_is_rejected_takes_its_number_and_never_reaches_the_application() -> None:
    talk = Talk(validator=Validator(load("FIX.4.4")))
    talk.hear("A", 1, LOGON)
    said = talk.hear("D", 2, "11=A")
    assert said == ["35=3|34=2|45=2|58=Required tag missing|371=40|372=D|373=1"]
    assert talk.session.next_in == 3
    assert not any(isinstance(event, Received) for event in talk.events)


def test_a_terse_session_says_no_more_than_quickfix() -> None:
    talk = Talk(validator=Validator(load("FIX.4.4")), terse=True)
    talk.hear("A", 1, LOGON)
    assert talk.hear("*", 2) == ["35=3|34=2|45=2|58=Invalid MsgType|372=*|373=11"]
    assert talk.hear("4", 0, "36=1") == [
        "35=3|34=3|45=0|58=Value is incorrect (out of range) for this tag|372=4|373=5"
    ]
    assert talk.hear("0", 3, "43=Y|122=20991231-00:00:00") == [
        "35=3|34=4|45=3|58=SendingTime accuracy problem|372=0|373=10",
        "35=5|34=5",
    ]


def test_an_invalid_message_above_a_gap_is_rejected_once_when_it_is_due() -> None:
    talk = Talk(validator=Validator(load("FIX.4.4")))
    talk.hear("A", 1, LOGON)
    assert talk.hear("D", 3, "11=A") == ["35=2|34=2|7=2|16=0"]
    assert talk.hear("0", 2, "43=Y|122=<TIME>") == [
        "35=3|34=3|45=3|58=Required tag missing|371=40|372=D|373=1"
    ]
    assert talk.session.next_in == 4


def test_an_invalid_logon_gets_no_answer() -> None:
    talk = Talk(validator=Validator(load("FIX.4.4")))
    assert talk.hear("A", 1, LOGON + "|999=x") == []
    assert talk.ended()


@pytest.mark.parametrize("digits", ["9" * 30, "9" * 5000])
def test_a_number_of_thousands_of_digits_is_a_fault_of_the_message_alone(digits: str) -> None:
    talk = Talk()
    talk.hear("A", 1, LOGON)
    assert talk.hear("2", 2, f"7={digits}|16=0")[0].endswith("371=7|372=2|373=6")
    talk.hear("0", 3)
    assert talk.session.next_in == 4


def test_a_data_field_that_is_not_as_long_as_it_should_be_is_named() -> None:
    talk = Talk()
    talk.hear("A", 1, LOGON)
    body = "35=B\x0134=2\x0149=TW\x0152=20261124-12:00:00\x0156=ISLD\x01354=9\x01355=abc\x01"
    frame = f"8=FIX.4.4\x019={len(body)}\x01{body}".encode()
    frame += b"10=%03d\x01" % (sum(frame) & 255)
    talk.events += talk.session.receive(frame, talk.now_ns)
    assert talk.said() == ["35=3|34=2|45=2|58=Incorrect data format for value|371=355|372=B|373=6"]


# --- framing ----------------------------------------------------------------------------------------------


def test_quickfixs_framing_loses_the_message_behind_one_that_claims_too_many_bytes() -> None:
    first, second, third = (from_peer("0", seq) for seq in (2, 3, 4))
    head, _, rest = first.partition(b"\x0135=")
    claims_more = head[: head.rindex(b"=") + 1] + b"%d" % (len(first) + 20) + b"\x0135=" + rest
    framer = QuickFixFramer()
    for byte in claims_more + second + third:
        framer.feed(bytes([byte]))
    assert framer.next_frame() == third
    assert framer.next_frame() is None
    assert framer.garbled == 1


def test_quickfixs_framing_drops_what_is_no_length_and_goes_on() -> None:
    framer = QuickFixFramer()
    framer.feed(b"8=FIX.4.4\x019=x\x01")
    assert framer.next_frame() is None
    framer.feed(b"noise" + from_peer("0", 2))
    assert framer.next_frame() == from_peer("0", 2)
    assert framer.garbled == 1


def _fields(raw: bytes) -> list[tuple[int, str]]:
    parts = (part.partition(b"=") for part in raw[:-1].split(b"\x01"))
    return [(int(tag), value.decode()) for tag, _, value in parts][2:-1]


# --- anything at all --------------------------------------------------------------------------------------

_TAGS = st.sampled_from(
    ("34", "35", "43", "49", "52", "56", "122", "123", "141", "789", "7", "16", "36", "108", "112", "45", "11", "386",
     "336", "0", "-1", "", "x", "9" * 5000)
)  # fmt: skip
_VALUES = st.sampled_from(
    ("Y", "N", "0", "1", "2", "3", "9", "-1", "TW", "ISLD", "20261124-12:00:00", "20991231-00:00:00", "A", "D", "4",
     "5", "", "=", "\xb2", "9" * 5000)
)  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from("0123456789ADj*"), st.integers(0, 9), st.lists(st.tuples(_TAGS, _VALUES)))
    )
)
def test_whatever_a_peer_sends_is_answered_or_ends_the_session(
    messages: list[tuple[str, int, list[tuple[str, str]]]],
) -> None:
    talk = Talk(validator=Validator(load("FIX.4.4")), next_expected=True)
    for msg_type, seq, fields in [("A", 1, [("98", "0"), ("108", "30")]), *messages]:
        body = f"35={msg_type}\x0134={seq}\x0149=TW\x0152=20261124-12:00:00\x0156=ISLD\x01"
        body += "".join(f"{tag}={value}\x01" for tag, value in fields)
        frame = f"8=FIX.4.4\x019={len(body)}\x01{body}".encode("latin-1")
        frame += b"10=%03d\x01" % (sum(frame) & 255)
        before = talk.session.next_in
        talk.events += talk.session.receive(frame, talk.now_ns)
        assert talk.session.next_in >= before or talk.session.next_in == 2, "only a reset takes it back"
    outgoing = [sent.seq for sent in talk.session.take_outgoing()]
    assert outgoing[-1:] == [talk.session.next_out - 1] or not outgoing


# --- tags without a value ---------------------------------------------------------------------------------


def test_a_tag_without_a_value_is_rejected_or_where_it_is_allowed_taken_and_given_back() -> None:
    raw = from_peer("1", 2, "112=")
    strict, lenient = Talk(), Talk(empty_values=True)
    for talk in (strict, lenient):
        talk.hear("A", 1, LOGON)
        talk.events += talk.session.receive(raw, talk.now_ns)
    assert strict.said() == ["35=3|34=2|45=2|58=Tag specified without a value|371=112|372=1|373=4"]
    (heartbeat,) = lenient.session.take_outgoing()
    assert b"\x01112=\x01" in heartbeat.raw


def test_a_validator_lets_pass_what_the_session_takes_without_a_value() -> None:
    talk = Talk(empty_values=True, validator=Validator(load("FIX.4.4")))
    talk.hear("A", 1, LOGON)
    order = "11=A|21=1|38=10|40=2|44=|54=1|55=AAPL|58=|60=20261124-12:00:00"
    talk.events += talk.session.receive(from_peer("D", 2, order), talk.now_ns)
    assert talk.said() == []
    (received,) = [event for event in talk.events if isinstance(event, Received)]
    assert (received.message.get(44), received.message.get(58)) == ("", "")


@pytest.mark.parametrize("resets", [True, False])
def test_a_venue_that_has_lost_its_numbers_is_met_with_new_ones_where_that_is_agreed(resets: bool) -> None:
    talk = Talk(next_in=10, next_out=20, role=Role.INITIATOR, reset_on_loss=resets)
    talk.said()
    told = talk.hear("A", 1, LOGON)
    assert told == ["35=5|34=21|58=MsgSeqNum too low, expecting 10 but received 1"]
    talk.lose()
    talk.session.connected(talk.now_ns)
    (logon,) = talk.said()
    assert ("141=Y" in logon, "34=1|" in logon) == (resets, resets)


def test_who_has_lost_its_own_numbers_begins_anew_once() -> None:
    talk = Talk(role=Role.INITIATOR, reset_on_loss=True)
    talk.said()
    talk.lose()
    talk.session.have_lost_count()
    for wanted in (True, False):
        talk.session.connected(talk.now_ns)
        (logon,) = talk.said()
        assert ("141=Y" in logon) == wanted
        talk.lose()
