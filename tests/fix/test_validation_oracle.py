"""Validation against QuickFIX's own: the same dictionary, the same message, the same reason and tag.

Left out is where ours is stricter on purpose: the values within groups, dates and months, repeats in an entry.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fix.codec import Field, encode, parse
from fix.dictionary import load
from fix.validation import Validator
from fix.violation import Violation

quickfix = pytest.importorskip("quickfix", reason="QuickFIX has no wheel for this Python")

HEADER: list[Field] = [(34, "2"), (49, "TW"), (52, "20261124-12:00:00"), (56, "ISLD")]
ORDER: list[Field] = [
    (11, "A"), (55, "IBM"), (54, "1"), (60, "20261124-12:00:00"), (40, "2"), (44, "1.5"), (38, "100"), (21, "1"),
    (59, "0"), (18, "1 G"), (58, "text"), (15, "USD"), (110, "5"),
]  # fmt: skip
TAGS = (11, 55, 54, 60, 40, 44, 38, 21, 59, 18, 58, 15, 110, 999, 5000, 112, 126, 114, 377, 167, 43, 97, 122, 115, 50,
        57, 128, 145, 1, 77, 528, 529, 336, 447)  # fmt: skip
VALUES = ("1", "Y", "N", "x", "-1", "+1", "1.5", ".5", "5.", "1e3", "20261124-12:00:00", "20261124-12:00:00.123",
          "20261324-12:00:00", "12:00:00", "G", "1 G", "1 %", "USD", "007", "Z", "999999999")  # fmt: skip
REASONS = {
    "InvalidTagNumber": 0,
    "RequiredTagMissing": 1,
    "TagNotDefinedForMessage": 2,
    "IncorrectTagValue": 5,
    "IncorrectDataFormat": 6,
    "InvalidMessageType": 11,
    "RepeatedTag": 13,
    "TagOutOfOrder": 14,
    "RepeatingGroupCountMismatch": 16,
}
FAULTS: tuple[Any, ...] = tuple(getattr(quickfix, name) for name in REASONS)

_stray = st.tuples(st.sampled_from(TAGS), st.sampled_from(VALUES))


@st.composite
def messages(draw: st.DrawFn) -> list[Field]:
    """An order with some mischief done to it: fields dropped, changed, added, said twice, put in a wrong place."""
    head, body = list(HEADER), list(ORDER)
    if draw(st.booleans()):
        entries = draw(st.integers(0, 2))
        body.append((386, str(draw(st.sampled_from((entries, entries, entries + 1))))))
        body += [(336, f"P{i}") for i in range(entries)]
        body.append((1, "ACC"))  # so that nothing put behind is taken for a part of the group
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(ORDER) - 3))
        match draw(st.integers(0, 4)):
            case 0:
                del body[at]
            case 1:
                body[at] = (body[at][0], draw(st.sampled_from(VALUES)))
            case 2:
                body.insert(at, draw(_stray))
            case 3:
                body.append(body[at])
            case _:
                del head[draw(st.integers(0, len(head) - 1))]
    return [(35, draw(st.sampled_from("DDDD0*"))), *head, *body]


@pytest.fixture(scope="module")
def quickfix_dictionary() -> Any:
    path = metadata.distribution("fixcore-engine").locate_file("fixcore/specs/FIX44.xml")
    return quickfix.DataDictionary(str(path))


def by_quickfix(raw: bytes, dictionary: Any) -> tuple[int, int] | None:
    try:
        dictionary.validate(quickfix.Message(raw.decode(), dictionary, True))
    except FAULTS as fault:
        reason = REASONS[type(fault).__name__]
        return reason, 35 if reason == 11 else int(fault.field)
    return None


def by_us(raw: bytes) -> tuple[int, int | None] | None:
    try:
        Validator(load("FIX.4.4")).check(parse(raw))
    except Violation as fault:
        return int(fault.reason), fault.tag
    return None


@settings(max_examples=200, deadline=None)
@given(fields=messages())
def test_quickfix_finds_the_same_fault(fields: list[Field], quickfix_dictionary: Any) -> None:
    once = {tag: value for tag, value in fields if tag != 336}
    # Of a tag that is there twice QuickFIX looks at either value first: its sort is not stable.
    assume(all(once[tag] == value for tag, value in fields if tag != 336))
    raw = encode("FIX.4.4", fields)
    assert by_us(raw) == by_quickfix(raw, quickfix_dictionary)
