"""A message and its dictionary: one fault each, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.codec import Message, parse
from fix.data_types import FITS
from fix.dictionary import load
from fix.tags import RejectReason
from fix.validation import Strictness, Validator
from fix.violation import Violation
from tests.fix.test_dictionary import A_VENUE
from tests.fix.wire import fix

HEAD = "34=2|49=TW|52=20261124-12:00:00|56=ISLD"
ORDER = "11=A|55=IBM|54=1|60=20261124-12:00:00|40=2|44=1.5|38=100"


def a_message(msg_type: str, body: str, head: str = HEAD) -> Message:
    return parse(fix(f"35={msg_type}|{head}|{body}" if body else f"35={msg_type}|{head}"))


def fault(message: Message, validator: Validator | None = None) -> tuple[RejectReason, int | None] | None:
    try:
        (validator or Validator(load("FIX.4.4"))).check(message)
    except Violation as violation:
        return violation.reason, violation.tag
    return None


@pytest.mark.parametrize(
    ("msg_type", "body"),
    [
        ("0", ""),
        ("D", ORDER),
        ("D", ORDER + "|453=0"),
        ("D", ORDER + "|453=2|448=X|447=D|452=1|448=Y|447=D|452=3"),
        ("D", ORDER + "|453=1|448=X|452=1|802=2|523=a|803=1|523=b|803=2"),
        ("D", ORDER + "|386=2|336=PRE|336=POST|59=0"),
        ("D", ORDER + "|18=1 G"),
    ],
)
def test_a_message_without_a_fault(msg_type: str, body: str) -> None:
    assert fault(a_message(msg_type, body)) is None


@pytest.mark.parametrize(
    ("msg_type", "body", "reason", "tag"),
    [
        ("*", "", RejectReason.INVALID_MSG_TYPE, 35),
        ("0", "999=HI", RejectReason.INVALID_TAG_NUMBER, 999),
        ("0", "5000=HI", RejectReason.INVALID_TAG_NUMBER, 5000),
        ("0", "55=IBM", RejectReason.TAG_NOT_DEFINED_FOR_TYPE, 55),
        ("D", ORDER.removeprefix("11=A|"), RejectReason.REQUIRED_TAG_MISSING, 11),
        ("D", ORDER + "|40=1", RejectReason.TAG_REPEATED, 40),
        ("D", ORDER + "|115=X", RejectReason.TAG_OUT_OF_ORDER, 115),
        ("D", ORDER.replace("54=1", "54=%"), RejectReason.VALUE_INCORRECT, 54),
        ("D", ORDER.replace("54=1", "54=12"), RejectReason.INCORRECT_DATA_FORMAT, 54),
        ("D", ORDER.replace("38=100", "38=+100"), RejectReason.INCORRECT_DATA_FORMAT, 38),
        ("D", ORDER + "|18=1 %", RejectReason.VALUE_INCORRECT, 18),
        ("D", ORDER + "|386=3|336=PRE|336=POST", RejectReason.INCORRECT_NUM_IN_GROUP, 386),
        ("D", ORDER + "|386=1|336=PRE|336=POST", RejectReason.INCORRECT_NUM_IN_GROUP, 386),
        ("D", ORDER + "|386=0|336=PRE", RejectReason.INCORRECT_NUM_IN_GROUP, 386),
        ("D", ORDER + "|386=1", RejectReason.INCORRECT_NUM_IN_GROUP, 386),
        ("D", ORDER + "|386=x", RejectReason.INCORRECT_DATA_FORMAT, 386),
        ("D", ORDER + "|386=99999999999", RejectReason.INCORRECT_DATA_FORMAT, 386),
        ("D", ORDER + "|453=1|447=D|448=X", RejectReason.GROUP_OUT_OF_ORDER, 447),
        ("D", ORDER + "|453=1|448=X|447=D|447=D", RejectReason.TAG_REPEATED, 447),
        ("D", ORDER + "|336=PRE", RejectReason.TAG_NOT_DEFINED_FOR_TYPE, 336),
    ],
)
def test_one_fault(msg_type: str, body: str, reason: RejectReason, tag: int | None) -> None:
    assert fault(a_message(msg_type, body)) == (reason, tag)


def test_a_header_that_lacks_a_name() -> None:
    message = a_message("0", "", head="34=2|49=TW|52=20261124-12:00:00")
    assert fault(message) == (RejectReason.REQUIRED_TAG_MISSING, 56)


def test_a_header_field_behind_the_body_is_said_before_anything_else() -> None:
    message = parse(fix(f"35=D|55=IBM|9999=1|{HEAD}"))
    assert fault(message) == (RejectReason.TAG_OUT_OF_ORDER, 34)


def test_each_rule_can_be_left_out() -> None:
    dictionary = load("FIX.4.4")
    for body, strictness in (
        (ORDER + "|115=X", Strictness(order=False)),
        ("11=A", Strictness(required=False)),
        (ORDER.replace("38=100", "38=+100"), Strictness(formats=False)),
        (ORDER.replace("54=1", "54=%"), Strictness(values=False)),
        (ORDER + "|5001=x", Strictness(user_defined=False)),
        (ORDER + "|999=x|112=x", Strictness(unknown_fields=False)),
    ):
        message = a_message("D", body)
        assert fault(message) is not None
        assert fault(message, Validator(dictionary, strictness=strictness)) is None


def test_a_venues_own_tags_are_checked_like_the_standards(tmp_path: Path) -> None:
    (tmp_path / "venue.xml").write_text(A_VENUE)
    validator = Validator(load("FIX.4.4", tmp_path / "venue.xml"))
    assert fault(a_message("D", ORDER + "|9001=N|100009=1|100010=hello"), validator) is None
    assert fault(a_message("D", ORDER), validator) == (RejectReason.REQUIRED_TAG_MISSING, 9001)
    assert fault(a_message("D", ORDER + "|9001=X"), validator) == (RejectReason.VALUE_INCORRECT, 9001)
    assert fault(a_message("U7", "1=ACC"), validator) is None


def test_fixt_has_one_dictionary_for_the_session_and_one_for_the_rest() -> None:
    validator = Validator(load("FIX.5.0SP2"), load("FIXT.1.1"), appl_ver_id="9")
    assert fault(a_message("0", "999=HI"), validator) == (RejectReason.INVALID_TAG_NUMBER, 999)
    assert fault(a_message("D", ORDER), validator) is None
    older = a_message("D", ORDER, head=HEAD + "|1128=7")
    assert fault(older, validator) == (RejectReason.UNSUPPORTED_APPL_VERSION, 1128)


@pytest.mark.parametrize(
    ("data_type", "good", "bad"),
    [
        ("INT", ("0", "-12", "007"), ("", "+1", "1.0", "x", "-")),
        ("QTY", ("1", "1.5", "-1.5", ".5", "5.", "002000.00"), ("", ".", "-", "+1", "1e3", "1,5")),
        ("CHAR", ("x",), ("", "xx")),
        ("BOOLEAN", ("Y", "N"), ("y", "1", "")),
        (
            "UTCTIMESTAMP",
            ("20261124-12:00:00", "20261124-23:59:60.123456789"),
            ("20261124", "20261324-12:00:00"),
        ),
        ("UTCTIMEONLY", ("12:00:00", "23:59:60.5"), ("24:00:00", "12:00")),
        ("LOCALMKTDATE", ("20240229",), ("20230229", "2024022", "2024-02-29")),
        ("MONTHYEAR", ("202611", "20261124", "202611w2"), ("202613", "202611w6", "2026")),
        ("DAYOFMONTH", ("1", "31"), ("0", "32", "x")),
        ("TZTIMEONLY", ("07:39Z", "02:39-05", "15:39+08:30", "02:39:15.5-05"), ("07:39", "25:00Z")),
        ("TZTIMESTAMP", ("20060901-07:39Z", "20060901-02:39-05"), ("20060901", "20060901-07:39")),
        ("COUNTRY", ("DE",), ("de", "DEU")),
    ],
)
def test_the_forms_of_the_data_types(data_type: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    assert [text for text in good if not FITS[data_type](text)] == []
    assert [text for text in bad if FITS[data_type](text)] == []


@given(st.lists(st.tuples(st.sampled_from((11, 34, 40, 54, 55, 93, 336, 386, 448, 453, 523, 802, 9999)), st.text(
    st.characters(max_codepoint=255, exclude_characters="\x01"), min_size=1, max_size=4))))  # fmt: skip
def test_whatever_comes_there_is_an_answer(fields: list[tuple[int, str]]) -> None:
    message = Message([(8, "FIX.4.4"), (9, "5"), (35, "D"), *fields, (10, "000")])
    fault(message)  # a Violation or nothing; any other exception is a bug
