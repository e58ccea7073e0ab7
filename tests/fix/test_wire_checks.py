"""The compiled check against the Validator: what it calls valid is valid, and what desks send every day it knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fix import dictionary, timestamps
from fix.codec import encode, parse
from fix.validation import Validator
from fix.violation import Violation
from fix.wire import checks, tokens, values

FIX44 = dictionary.load("FIX.4.4")
VALIDATOR = Validator(FIX44)
RULES = {msg_type: checks.rules_of(FIX44, msg_type) for msg_type in ("D", "8", "0", "A", "F")}
TOKENS = tokens.token_table()
NUMBERS_READ = checks.numbers_table()
DATA_OF = tokens.data_table()

Fields = list[tuple[int, str]]
HEADER: Fields = [(34, "7"), (49, "DESK"), (52, "20261124-06:39:16.123"), (56, "VENUE")]
ORDER: Fields = [
    (35, "D"), *HEADER, (1, "TW000001"), (11, "TW-1"), (21, "1"), (18, "G"), (38, "100"), (40, "2"), (44, "187.25"),
    (54, "1"), (55, "AAPL"), (59, "0"), (60, "20261124-06:39:16.123456"), (43, "N"),
]  # fmt: skip
ORDER = [*ORDER[:5], ORDER[-1], *ORDER[5:-1]]
REPORT: Fields = [
    (35, "8"), *HEADER, (6, "187.25"), (11, "TW-1"), (14, "40"), (17, "E1"), (31, "187.25"), (32, "40"), (37, "O1"),
    (38, "100"), (39, "1"), (54, "1"), (55, "AAPL"), (60, "20261124-06:39:16"), (103, "99"), (150, "F"), (151, "60"),
]  # fmt: skip
LOGON: Fields = [
    (35, "A"),
    *HEADER,
    (95, "3"),
    (96, "a\x01b"),
    (98, "0"),
    (108, "30"),
    (141, "Y"),
    (554, "x"),
]
HEARTBEAT: Fields = [(35, "0"), *HEADER, (112, "TEST")]
CANCEL: Fields = [
    (35, "F"), *HEADER, (11, "TW-2"), (41, "TW-1"), (54, "1"), (55, "AAPL"), (60, "20261124-06:39:16.123")
]  # fmt: skip
DAILY = (ORDER, REPORT, LOGON, HEARTBEAT, CANCEL)


def compiled_says(fields: Fields) -> bool:
    raw = encode("FIX.4.4", fields)
    kept: Any = np.frombuffer(raw, np.uint8).copy()
    count = tokens.tokenise(kept.ctypes.data, len(kept), TOKENS, DATA_OF)
    return bool(checks.check(TOKENS, count, kept.ctypes.data, RULES[fields[0][1]], NUMBERS_READ))


def validator_says(fields: Fields) -> bool:
    try:
        VALIDATOR.check(parse(encode("FIX.4.4", fields)))
    except Violation:
        return False
    return True


@pytest.mark.parametrize("fields", DAILY, ids=["order", "report", "logon", "heartbeat", "cancel"])
def test_what_is_sent_every_day_is_known_to_be_valid(fields: Fields) -> None:
    assert validator_says(fields)
    assert compiled_says(fields)
    assert compiled_says(fields)  # what it saw in the first is no repetition in the second


def test_what_was_checked_has_been_read() -> None:
    assert compiled_says(REPORT)
    raw = parse(encode("FIX.4.4", REPORT))
    read = {tag: int(number) for (tag, _), number in zip(raw.fields, NUMBERS_READ, strict=False)}
    assert (read[34], read[14], read[31]) == (7, 40 * 10**8, 18725 * 10**6)
    assert (read[150], read[39], read[52]) == (
        ord("F"),
        ord("1"),
        timestamps.parse_ns("20261124-06:39:16.123"),
    )
    assert read[55] == values.BAD


def test_a_table_of_numbers_that_is_too_small_is_never_overrun() -> None:
    raw = encode("FIX.4.4", ORDER)
    kept: Any = np.frombuffer(raw, np.uint8).copy()
    count = tokens.tokenise(kept.ctypes.data, len(kept), TOKENS, DATA_OF)
    small = np.zeros(count, np.int64)
    assert not checks.check(TOKENS, count, kept.ctypes.data, RULES["D"], small[: count - 1])
    assert not small.any()


NUMBERS = st.sampled_from(
    ["", "-", "+", "1", "-1", "1.5", ".5", "5.", "1.2.3", ".", "-.", "1e5", "0" * 30, "007"]
)
TEXTS = st.sampled_from(
    ["20261124-06:39:16.1", "20261324-06:39:16", "Y", "N", "1 2", "AAPL", "\xff", "y", "20261124"]
)
VALUES = (
    NUMBERS | TEXTS | st.text(st.characters(codec="latin-1", exclude_characters="\x01"), max_size=9)
).filter(bool)
TAGS = st.sampled_from(
    sorted({tag for fields in DAILY for tag, _ in fields} | {5001, 453, 448, 627, 10000, 1128, 93})
)


@st.composite
def changed(draw: st.DrawFn) -> Fields:
    """A daily message with some fields taken out, moved, doubled, added or given another value."""
    fields = list(draw(st.sampled_from(DAILY)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(1, len(fields) - 1))
        what = draw(st.sampled_from(["value", "value", "drop", "move", "double", "add"]))
        if what == "value":
            fields[at] = (fields[at][0], draw(VALUES))
        elif what == "drop" and len(fields) > 3:
            del fields[at]
        elif what == "move":
            fields.insert(draw(st.integers(1, len(fields))), fields.pop(at))
        elif what == "double":
            fields.append(fields[at])
        else:
            fields.insert(at, (draw(TAGS), draw(VALUES)))
    return fields


@settings(deadline=None, max_examples=1500)
@given(changed())
def test_what_is_called_valid_is_valid(fields: Fields) -> None:
    try:
        said = compiled_says(fields)
    except ValueError:  # 95 and 96 no longer fit: there is no such message
        return
    if said:
        assert validator_says(fields)


@pytest.mark.parametrize(
    "wrong",
    [
        [pair for pair in ORDER if pair[0] != 11],
        [*ORDER, (58, "a"), (58, "b")],
        [*ORDER, (5001, "x")],
        [*ORDER, (52, "20261124-06:39:16")],
        [(tag, "Z" if tag == 54 else value) for tag, value in ORDER],
        [(tag, "1,5" if tag == 44 else value) for tag, value in ORDER],
        [(tag, "12" if tag == 40 else value) for tag, value in ORDER],
    ],
)
def test_a_fault_is_never_called_valid(wrong: Fields) -> None:
    assert not compiled_says(wrong)
    assert not validator_says(wrong) or (5001, "x") in wrong


def test_a_type_that_the_dictionary_lacks_is_named() -> None:
    with pytest.raises(dictionary.DictionaryError, match="no message of type 'ZZ'"):
        checks.rules_of(FIX44, "ZZ")
