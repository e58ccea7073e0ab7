"""tag=value against simplefix, an independent codec, and against streams that are cut or damaged anywhere."""

from __future__ import annotations

import pytest
import simplefix
from hypothesis import given, settings
from hypothesis import strategies as st

from fix.codec import MESSAGE_BYTES_MAX, EncodeError, Framer, MissingTag, ParseError, encode, parse
from fix.data_fields import DATA_FIELDS
from fix.tags import Tag
from tests.fix.wire import fix

LETTERS = st.characters(codec="latin-1", exclude_characters="\x01")
VALUES = st.text(LETTERS, min_size=1, max_size=40)
# Ours, and anybody's own; without the data fields, whose length is a field of its own.
TAGS = (
    st.sampled_from([int(t) for t in Tag if t not in (8, 9, 10, 35)]) | st.integers(5_000, 2_000_000)
).filter(lambda tag: tag not in DATA_FIELDS)
BODIES = st.lists(st.tuples(TAGS, VALUES), max_size=20)


def fields_of(body: list[tuple[int, str]]) -> list[tuple[int, str]]:
    return [(35, "D"), *body]


@settings(deadline=None)
@given(BODIES)
def test_simplefix_reads_what_we_write(body: list[tuple[int, str]]) -> None:
    parser = simplefix.FixParser()
    parser.append_buffer(encode("FIX.4.4", fields_of(body)))
    theirs = [(int(tag), value.decode("latin-1")) for tag, value in parser.get_message().pairs]
    assert theirs[2:-1] == fields_of(body)


@settings(deadline=None)
@given(BODIES)
def test_we_read_what_simplefix_writes(body: list[tuple[int, str]]) -> None:
    theirs = simplefix.FixMessage()
    theirs.append_pair(8, "FIX.4.4")
    for tag, value in fields_of(body):
        theirs.append_pair(tag, value.encode("latin-1"))
    raw = theirs.encode()
    framer = Framer()
    framer.feed(raw)
    assert [parse(frame).fields[2:-1] for frame in framer] == [fields_of(body)]
    assert encode("FIX.4.4", fields_of(body)) == raw


@settings(deadline=None)
@given(st.lists(BODIES, min_size=1, max_size=5), st.data())
def test_a_stream_is_the_same_however_it_is_cut(
    bodies: list[list[tuple[int, str]]], data: st.DataObject
) -> None:
    messages = [encode("FIX.4.4", fields_of(body)) for body in bodies]
    stream = b"".join(messages)
    framer, frames, at = Framer(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 60))
        framer.feed(stream[at : at + size])
        frames += list(framer)
        at += size
    assert frames == messages
    assert framer.garbled == 0


@settings(deadline=None)
@given(st.binary(max_size=60).filter(lambda garbage: b"8=" not in garbage), st.booleans())
def test_garbage_before_a_message_costs_nothing_but_itself(garbage: bytes, at_once: bool) -> None:
    message = fix("35=0|34=1")
    stream = garbage + b"\x01" + message
    framer = Framer()
    frames = []
    for piece in [stream] if at_once else [stream[i : i + 1] for i in range(len(stream))]:
        framer.feed(piece)
        frames += list(framer)
    assert frames == [message]


@pytest.mark.parametrize("damaged", range(len(fix("35=0|34=1|112=hello"))))
def test_a_damaged_message_never_costs_the_one_behind_it(damaged: int) -> None:
    first, second = fix("35=0|34=1|112=hello"), fix("35=0|34=2")
    broken = bytearray(first)
    broken[damaged] ^= 0x08
    framer = Framer()
    framer.feed(bytes(broken) + second)
    # A longer BodyLength makes it wait for bytes that the next messages bring.
    for _ in range(20):
        framer.feed(fix("35=0|34=3|58=" + "x" * 80))
    frames = list(framer)
    assert second in frames
    assert first not in frames


def test_a_body_length_over_the_bound_is_garbled_at_once() -> None:
    framer = Framer()
    framer.feed(f"8=FIX.4.4\x019={MESSAGE_BYTES_MAX + 1}\x0135=0\x01".encode() + fix("35=0|34=2"))
    assert list(framer) == [fix("35=0|34=2")]
    assert framer.garbled == 1


def test_the_middle_of_a_text_is_no_beginning() -> None:
    message = fix("35=B|34=1|148=8=FIX.4.4 is what 58=FIX means")
    framer = Framer()
    framer.feed(b"x" + message + message)
    assert list(framer) == [message]


@pytest.mark.parametrize("value", ["", "two\x01values", "日"])
def test_a_value_that_has_no_form_in_fix_is_not_sent(value: str) -> None:
    with pytest.raises(EncodeError):
        encode("FIX.4.4", [(35, "D"), (58, value)])


@pytest.mark.parametrize(("field", "tag"), [("58=", 58), ("=5", 0), ("x=5", 0), ("058=5", 58), ("58", 58)])
def test_a_field_that_can_not_be_read_is_named(field: str, tag: int) -> None:
    with pytest.raises(ParseError) as refused:
        parse(f"8=FIX.4.4\x019=5\x0135=D\x01{field}\x0110=000\x01".encode())
    assert refused.value.tag == tag


def test_a_missing_tag_is_named_with_the_type() -> None:
    with pytest.raises(MissingTag, match=r"tag 11 is missing in a message of type 'D'"):
        parse(fix("35=D|34=1")).require(Tag.ClOrdID)


def test_tags_beyond_16_bits_are_read() -> None:
    assert parse(fix("35=D|34=1|100010=x")).get(100010) == "x"


def test_a_data_field_may_hold_soh() -> None:
    fields = [(35, "A"), (95, "5"), (96, "a\x01b=\x01"), (98, "0")]
    assert parse(encode("FIX.4.4", fields)).fields[2:-1] == fields


@pytest.mark.parametrize("length", ["1", "3", "x", "02"])
def test_a_data_field_of_another_length_than_it_says_is_not_sent(length: str) -> None:
    with pytest.raises(EncodeError):
        encode("FIX.4.4", [(35, "A"), (95, length), (96, "ab")])


@pytest.mark.parametrize("length", ["1", "3", "999999999"])
def test_a_data_field_of_another_length_than_it_says_is_not_read(length: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(f"8=FIX.4.4\x0135=A\x0195={length}\x0196=ab\x0198=0\x01".encode())
    assert refused.value.tag == 96


def test_a_message_in_a_log_says_no_secret() -> None:
    assert "swordfish" not in repr(parse(fix("35=A|553=me|554=swordfish|925=swordfish|95=9|96=swordfish")))


def test_a_message_in_a_log_is_one_line() -> None:
    assert "|112=a.ERROR b.[2J|10=" in repr(parse(fix("35=0|112=a\nERROR b\x1b[2J")))


def test_a_password_with_soh_in_it_is_refused_without_being_told() -> None:
    with pytest.raises(EncodeError) as refused:
        encode("FIX.4.4", [(35, "A"), (554, "sword\x01fish")])
    assert "fish" not in str(refused.value)


def test_a_tag_of_thousands_of_digits_is_no_tag() -> None:
    with pytest.raises(ParseError):
        parse(b"8=FIX.4.4\x0135=0\x01" + b"1" * 5000 + b"=x\x01")


def test_a_beginning_that_is_cut_right_behind_soh_is_kept() -> None:
    message = fix("35=0|34=1")
    framer = Framer()
    framer.feed(b"\x018=")
    assert framer.next_frame() is None
    framer.feed(message[2:])
    assert list(framer) == [message]
