"""The binary protocol's layouts, to bytes and back, by both ways of reading: a cast and a message."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rejects import TEXTS
from gateways.binary import docs, messages
from gateways.binary.layout import (
    CODES,
    FIELDS,
    HEADER_BYTES,
    HEADER_FIELDS,
    LAYOUTS,
    LENGTHS,
    MAGIC,
    VERSION,
    Field,
    Kind,
)
from gateways.binary.messages import EncodeError, Message, NewOrder, Refused, decode, encode

MESSAGES = {
    made.KIND: made
    for made in vars(messages).values()
    if isinstance(made, type) and issubclass(made, Message) and made is not Message
}
NUMBERS = {"u1": (0, 2**8 - 1), "<u2": (0, 2**16 - 1), "<u4": (0, 2**32 - 1), "<u8": (0, 2**64 - 1)}
AN_ORDER = NewOrder(7, "A", "AAPL", ord("1"), ord("2"), ord("0"), qty_e8=10, price_e8=5)


def values(field: Field) -> st.SearchStrategy[Any]:
    if field.format.startswith("S"):
        plain = st.characters(min_codepoint=32, max_codepoint=126)
        return st.text(plain, max_size=int(field.format[1:]))
    return st.integers(*NUMBERS.get(field.format, (-(2**63), 2**63 - 1)))


def a_message(kind: Kind) -> st.SearchStrategy[Message]:
    return st.builds(MESSAGES[kind], **{field.name: values(field) for field in FIELDS[kind]})


@given(st.sampled_from(Kind).flatmap(a_message))
def test_a_message_comes_back_from_its_bytes(message: Message) -> None:
    raw = encode(message)
    assert len(raw) == LENGTHS[message.KIND]
    assert decode(raw) == message


@given(st.sampled_from(Kind).flatmap(a_message))
def test_a_cast_reads_what_the_message_says(message: Message) -> None:
    row = np.frombuffer(encode(message), LAYOUTS[message.KIND])[0]
    assert [int(row[field.name]) for field in HEADER_FIELDS] == [
        MAGIC, LENGTHS[message.KIND], message.KIND, VERSION,
    ]  # fmt: skip
    for field in FIELDS[message.KIND]:
        found = row[field.name]
        text = found.decode() if isinstance(found, bytes) else int(found)
        assert text == getattr(message, field.name)


def test_every_layout_can_be_read_in_place() -> None:
    for kind, layout in LAYOUTS.items():
        assert layout.itemsize % 8 == 0, kind
        placed: Any = layout.fields
        ends = HEADER_BYTES
        for field in FIELDS[kind]:
            format_, offset = placed[field.name][:2]
            assert offset == ends, f"{kind.name}.{field.name} stands behind a gap"
            assert format_.kind == "S" or offset % format_.itemsize == 0, f"{kind.name}.{field.name}"
            ends = offset + format_.itemsize
        assert ends == layout.itemsize


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("token", "x" * 41, "token .* has 41 characters; the most is 40"),
        ("symbol", "Ä", "symbol 'Ä' is not ASCII"),
        ("side", 256, "side 256 does not fit its u1 of NewOrder"),
        ("qty_e8", 2**63, "qty_e8 9223372036854775808 does not fit its i8"),
        ("request_id", -1, "request_id -1 does not fit its u8"),
    ],
)
def test_what_has_no_place_is_named(field: str, value: object, text: str) -> None:
    with pytest.raises(EncodeError, match=text):
        encode(NewOrder(**{**{f: getattr(AN_ORDER, f) for f in AN_ORDER.__struct_fields__}, field: value}))


def test_a_text_for_people_is_cut_to_its_room() -> None:
    found = decode(encode(Refused(1, 1001, 10, text="ü" + "x" * 500)))
    assert isinstance(found, Refused)
    assert found.text == "\\xfc" + "x" * 124


def test_the_page_says_what_the_program_does() -> None:
    text = docs.PAGE.read_text()
    assert docs.page(text) == text, "make it anew: python -m gateways.binary.docs"
    for code in (*CODES, *TEXTS):
        assert f"| {int(code)} | {code.name} |" in text
