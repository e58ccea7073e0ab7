"""The compiled codec against the plain one, byte for byte: frames, tokens, values, templates, groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import simplefix
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import units
from fix import codec, dictionary, timestamps
from fix.codec import Framer, ParseError, parse
from fix.data_fields import DATA_FIELDS
from fix.wire import groups, template, tokens, values
from fix.wire.frame import byte_sum, frame
from fix.wire.template import ABSENT, BAD_VALUE, NO_ROOM, Kind, build
from tests.fix.wire import fix

DATA_OF = tokens.data_table()
TOKENS = tokens.token_table()

LETTERS = st.characters(codec="latin-1", exclude_characters="\x01")
TEXTS = st.text(LETTERS, min_size=1, max_size=40)
TAGS = st.integers(1, 60).filter(lambda tag: tag not in (8, 9, 10, 35)) | st.integers(400, 2**31 - 1)
PLAIN = st.tuples(TAGS.filter(lambda tag: tag not in DATA_FIELDS), TEXTS).map(lambda pair: [pair])
DATA = st.tuples(
    st.sampled_from(sorted(DATA_FIELDS.items())),
    st.text(st.characters(codec="latin-1"), min_size=1, max_size=90),
).map(lambda drawn: [(drawn[0][0], str(len(drawn[1]))), (drawn[0][1], drawn[1])])
BODIES = st.lists(PLAIN | PLAIN | DATA, max_size=12).map(lambda runs: [pair for run in runs for pair in run])
MESSAGES = BODIES.map(lambda body: codec.encode("FIX.4.4", [(35, "D"), *body]))


def at_address(data: bytes) -> tuple[np.ndarray[Any, Any], int]:
    """The bytes in memory of their own, and its address; keep the first while the second is used."""
    kept = np.frombuffer(data, np.uint8).copy()
    return kept, kept.ctypes.data


def compiled_frames(buffer: bytearray) -> Iterator[tuple[bytes, int]]:
    """(frame, 0) or (b"", bytes dropped), until more is needed; eats the buffer."""
    while buffer:
        kept, address = at_address(bytes(buffer))
        taken = frame(address, len(kept))
        assert abs(taken) <= len(buffer)
        if taken == 0:
            return
        yield (bytes(buffer[:taken]), 0) if taken > 0 else (b"", -taken)
        del buffer[: abs(taken)]


def compiled_fields(data: bytes) -> list[tuple[int, str]] | int:
    kept, address = at_address(data)
    count = tokens.tokenise(address, len(kept), TOKENS, DATA_OF)
    if count < 0:
        return int(count)
    rows = TOKENS[:count].tolist()
    return [(tag, data[offset : offset + length].decode("latin-1")) for tag, offset, length in rows]


def assert_same_fields(data: bytes) -> None:
    expected: list[tuple[int, str]] | None
    try:
        expected, empty = parse(data).fields, False
    except ParseError as error:
        expected, empty = None, error.empty_value
    found = compiled_fields(data)
    if expected is None:
        assert isinstance(found, int)
        assert (found == tokens.EMPTY_VALUE) == empty
    else:
        assert found == expected


# --- frames ---------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(max_size=1200))
def test_both_sums_are_the_sum(data: bytes) -> None:
    kept, address = at_address(data)
    assert byte_sum(address, len(kept)) == codec.check_sum(data) == sum(data) % 256


def test_a_long_run_of_high_bytes_never_carries_over() -> None:
    high = b"\xff" * 70_001
    kept, address = at_address(high)
    assert byte_sum(address, len(kept)) == codec.check_sum(high) == 255 * 70_001 % 256


PIECES = (
    MESSAGES
    | st.binary(max_size=30)
    | st.sampled_from(
        [b"8=FIX", b"\x018=FIX.4.4\x01", b"8=FIX.4.4\x019=5\x01", b"\x01", b"\x018=", b"9=0010\x01"]
    )
    | st.sampled_from(
        [b"8=FIX.4.4\x019=70000\x0135=0\x01", b"8=FIX.4.4\x019=x\x01", b"8=FIX.4.4\x019=12\x0136="]
    )
    | st.just(fix("35=0|34=1"))
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Messages and garbage, one byte here and there wrong, or something cut out."""
    stream = bytearray(b"".join(draw(st.lists(PIECES, max_size=6))))
    for _ in range(draw(st.integers(0, 3))):
        if stream:
            at = draw(st.integers(0, len(stream) - 1))
            if draw(st.booleans()):
                stream[at] = draw(st.integers(0, 255))
            else:
                del stream[at : at + draw(st.integers(1, 20))]
    return bytes(stream)


@settings(deadline=None, max_examples=300)
@given(streams(), st.data())
@example(b"\x018=" + fix("35=0|34=1")[2:], None)
def test_both_codecs_cut_a_stream_into_the_same_frames(stream: bytes, data: st.DataObject | None) -> None:
    framer, buffer = Framer(), bytearray()
    at = 0
    while at < len(stream):
        size = 3 if data is None else data.draw(st.integers(1, 80))
        piece = stream[at : at + size]
        at += size
        framer.feed(piece)
        buffer += piece
        mine = list(compiled_frames(buffer))
        garbled_before = framer.garbled
        assert list(framer) == [found for found, _ in mine if found]
        assert framer.garbled - garbled_before == sum(dropped > 0 for _, dropped in mine)
        assert framer.rest() == bytes(buffer)


# --- tokens ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(MESSAGES)
def test_both_codecs_read_the_same_fields(message: bytes) -> None:
    assert compiled_fields(message) == parse(message).fields


@settings(deadline=None, max_examples=500)
@given(streams() | st.binary(max_size=200))
@example(b"1=x\x01\x01")
@example(b"95=3\x0196=a\x01b\x01")
@example(b"95=4\x0196=a\x01b\x01")
@example(b"95=0\x0196=\x01")
@example(b"95=x\x0196=ab\x01")
@example(b"96=ab\x01")
@example(b"95=3\x0196\x01ab\x01")  # no '=' behind the data field's tag: what follows is no value of it
@example(b"2147483647=a\x01")
@example(b"2147483648=a\x01")
@example(b"99999999999999999999=a\x01")
@example(b"12345678=a\x01" + b"1=" + b"x" * 100 + b"\x01")
def test_both_codecs_find_the_same_fault_in_any_bytes(data: bytes) -> None:
    assert_same_fields(data + b"\x01")


def test_a_tag_of_thousands_of_digits_is_a_fault_and_no_more() -> None:
    assert_same_fields(b"1" * 5000 + b"=a\x01")


@settings(deadline=None)
@given(MESSAGES, st.integers(0, 30))
def test_a_table_that_is_too_small_is_an_answer(message: bytes, capacity: int) -> None:
    kept, address = at_address(message)
    table = np.zeros(capacity + 1, tokens.TOKEN)
    table[capacity] = (-7, -7, -7)
    count = tokens.tokenise(address, len(kept), table[:capacity], DATA_OF)
    assert count == len(parse(message).fields) or count == tokens.TOO_MANY
    assert table[capacity].tolist() == (-7, -7, -7)


@settings(deadline=None)
@given(BODIES)
def test_simplefix_writes_what_the_compiled_codec_reads(body: list[tuple[int, str]]) -> None:
    theirs = simplefix.FixMessage()
    for tag, value in [(8, "FIX.4.4"), (35, "D"), *body]:
        theirs.append_pair(tag, value.encode("latin-1"))
    assert [pair for pair in compiled_fields(theirs.encode()) if pair[0] not in (8, 9, 10)] == [  # type: ignore[union-attr]
        (35, "D"), *body,
    ]  # fmt: skip


@settings(deadline=None)
@given(MESSAGES, TAGS, st.integers(0, 40))
def test_a_field_is_found_wherever_the_search_begins(message: bytes, tag: int, start: int) -> None:
    kept, address = at_address(message)
    count = tokens.tokenise(address, len(kept), TOKENS, DATA_OF)
    rows = [int(found) for found in TOKENS["tag"][:count]]
    for wanted in {tag, *rows[:4]}:
        expected = [i for i, found in enumerate(rows) if found == wanted]
        behind = [i for i in expected if i >= start]
        assert tokens.find(TOKENS, count, wanted, start) == (behind or expected or [-1])[0]


# --- values ---------------------------------------------------------------------------------------------------

DIGITS = st.text("0123456789", max_size=22)
NUMBERS = st.builds(
    "{}{}{}{}".format, st.sampled_from(["", "-", "+"]), DIGITS, st.sampled_from(["", "."]), DIGITS
)
NEARLY = NUMBERS | st.text("0123456789.-+e ", max_size=12) | st.text(LETTERS, max_size=5)


def read(reader: Any, text: str) -> int:
    kept, address = at_address(text.encode("latin-1"))
    return int(reader(address, len(kept)))


@settings(deadline=None, max_examples=400)
@given(NEARLY)
@example("-")
@example("9" * 18)
@example("0" * 30 + "7")
def test_an_integer_is_exact_or_nothing(text: str) -> None:
    good = re.fullmatch(r"-?[0-9]+", text) is not None and abs(int(text)) < 10**18
    assert read(values.read_int, text) == (int(text) if good else values.BAD)


@settings(deadline=None, max_examples=400)
@given(NEARLY)
@example("9999999999.99999999")
@example("10000000000")
@example("-0.00000001")
@example("1.123456780")
@example("1.123456789")
@example(".")
def test_a_price_is_what_core_reads_or_nothing(text: str) -> None:
    expected = values.BAD
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text) is not None:
        try:
            expected = units.price_e8(text)
        except units.UnitError:
            expected = values.BAD
        if abs(expected) >= 10**18:
            expected = values.BAD
    assert read(values.read_e8, text) == expected


STAMPS = st.builds(
    "{:04d}{:02d}{:02d}-{:02d}:{:02d}:{:02d}{}".format,
    st.integers(1965, 2265), st.integers(0, 13), st.integers(0, 32), st.integers(0, 24), st.integers(0, 60),
    st.integers(0, 61), st.sampled_from(["", "."]).flatmap(
        lambda dot: st.text("0123456789", max_size=10).map(lambda digits: dot + digits)
    ),
)  # fmt: skip


@settings(deadline=None, max_examples=500)
@given(STAMPS | st.text("0123456789-:.", max_size=28))
@example("20000229-23:59:60.999999999")
@example("21000229-00:00:00")
@example("22620101-00:00:00")
def test_a_time_is_what_the_plain_reader_reads(text: str) -> None:
    try:
        expected = timestamps.parse_ns(text)
    except timestamps.TimestampError:
        expected = values.BAD
    if text[:4] > "2261":
        expected = values.BAD
    assert read(values.read_utc_ns, text) == expected


@pytest.mark.parametrize(
    ("text", "char", "flag"), [("Y", 89, 1), ("N", 78, 0), ("y", 121, None), ("YN", None, None)]
)
def test_a_character_and_a_flag(text: str, char: int | None, flag: int | None) -> None:
    assert read(values.read_char, text) == (values.BAD if char is None else char)
    assert read(values.read_bool, text) == (values.BAD if flag is None else flag)


# --- templates ------------------------------------------------------------------------------------------------

CANARY = 0xA5
INT64 = st.integers(-(2**63) + 1, 2**63 - 1)
TIMES = st.integers(0, 2**63 - 1)


def plain_time(ns: int, digits: int) -> str:
    second, rest = divmod(ns, 10**9)
    text = timestamps.format_ns(second * 10**9)[:17]
    return f"{text}.{rest:09d}"[: 18 + digits] if digits else text


VALUES = st.one_of(
    st.tuples(st.just(Kind.INT), INT64),
    st.tuples(st.just(Kind.E8), INT64 | st.integers(-(10**12), 10**12)),
    st.tuples(st.just(Kind.CHAR), st.integers(2, 255)),
    st.tuples(st.just(Kind.BOOL), st.booleans()),
    st.tuples(st.sampled_from([Kind.TIME_S, Kind.TIME_MS, Kind.TIME_US, Kind.TIME_NS]), TIMES),
    st.tuples(st.just(Kind.TEXT), TEXTS),
    st.tuples(st.just(None), TEXTS),
    st.tuples(st.sampled_from([Kind.INT, Kind.TEXT]), st.none()),
)  # fmt: skip


def plain_text(kind: Kind | None, value: Any) -> str:
    if kind is Kind.E8:
        return units.price_text(value)
    if kind is Kind.CHAR:
        return chr(value)
    if kind is Kind.BOOL:
        return "Y" if value else "N"
    if kind in (Kind.TIME_S, Kind.TIME_MS, Kind.TIME_US, Kind.TIME_NS):
        return plain_time(value, 3 * (kind - Kind.TIME_S))
    return str(value)


def fill(built: template.Built, tag: int, value: Any) -> Any:
    """Puts a value where the template wants it; keep what is returned while it is used."""
    slot = built.slots[tag]
    if isinstance(value, str):
        kept, address = at_address(value.encode("latin-1"))
        built.values[slot : slot + 2] = address, len(kept)
        return kept
    built.values[slot] = ABSENT if value is None else int(value)
    return None


@settings(deadline=None, max_examples=300)
@given(st.lists(VALUES, min_size=1, max_size=12), st.integers(0, 700), st.booleans())
def test_a_template_writes_what_the_plain_codec_writes(
    drawn: list[tuple[Kind | None, Any]], room: int, enough: bool
) -> None:
    fields = [(1000 + i, kind, value) for i, (kind, value) in enumerate(drawn)]
    expected = codec.encode(
        "FIX.4.4", [(35, "D"), *((tag, plain_text(kind, v)) for tag, kind, v in fields if v is not None)]
    )
    built = build("FIX.4.4", "D", [(tag, value if kind is None else kind) for tag, kind, value in fields])
    kept = [fill(built, tag, value) for tag, kind, value in fields if kind is not None]
    room = 4096 if enough else room
    out = np.full(room + 64, CANARY, np.uint8)
    start, length = template.encode(built.template, built.values, out.ctypes.data + 32, room)
    assert (out[:32] == CANARY).all()
    assert (out[32 + room :] == CANARY).all()
    assert len(kept) <= len(fields)
    if length == NO_ROOM:
        assert room < len(expected) + 128
    else:
        assert 0 <= start <= start + length <= room
        assert out[32 + start : 32 + start + length].tobytes() == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Kind.TEXT, ""), (Kind.TEXT, "a\x01b"), (Kind.CHAR, 1), (Kind.CHAR, 256), (Kind.TIME_MS, -1)],
)
def test_a_value_that_has_no_form_in_fix_is_not_encoded(kind: Kind, value: Any) -> None:
    built = build("FIX.4.4", "D", [(58, kind)])
    kept = fill(built, 58, value)
    out = np.zeros(320, np.uint8)
    assert template.encode(built.template, built.values, out.ctypes.data, 256)[1] == BAD_VALUE
    assert not out[256:].any()
    assert kept is None or len(kept) == len(value)


def test_a_data_field_takes_any_byte() -> None:
    built = build("FIX.4.4", "A", [(95, Kind.INT), (96, Kind.DATA)])
    kept = [fill(built, 95, 3), fill(built, 96, "a\x01b")]
    out = np.zeros(256, np.uint8)
    start, length = template.encode(built.template, built.values, out.ctypes.data, 256)
    assert parse(out[start : start + length].tobytes()).get(96) == "a\x01b"
    assert len(kept) == 2


@pytest.mark.parametrize("fields", [[(58, "a\x01b")], [(58, "")], [(34, Kind.INT), (34, Kind.INT)]])
def test_a_template_that_can_not_be_is_refused(fields: list[tuple[int, str | Kind]]) -> None:
    with pytest.raises(template.TemplateError):
        build("FIX.4.4", "D", fields)


# --- groups ---------------------------------------------------------------------------------------------------

PARTY_IDS = 453
PARTY_SUB_IDS = 802


def party_block() -> dictionary.Block:
    spec = dictionary.load("FIX.4.4").message("D")
    assert spec is not None
    return spec.body.groups[PARTY_IDS]


def all_tags(block: dictionary.Block) -> set[int]:
    return set(block.tags).union(*(all_tags(inner) for inner in block.groups.values()))


def entries(message: bytes, count_tag: int, block: dictionary.Block, begin: int = 0, rows: int = -1) -> Any:
    """The rows (begin, end) of each entry, or the fault."""
    kept, address = at_address(message)
    count = tokens.tokenise(address, len(kept), TOKENS, DATA_OF)
    rows = count if rows < 0 else rows
    members = groups.members_table(all_tags(block))
    at = groups.group(
        TOKENS, address, tokens.find(TOKENS, rows, count_tag, begin), rows, block.first, members
    )
    if at < 0:
        return at
    found = []
    while at < rows and TOKENS[at]["tag"] == block.first:
        end = groups.entry_end(TOKENS, at, rows, block.first, members)
        found.append((at, end))
        at = end
    return found


def test_nested_groups_are_walked_by_the_dictionarys_tables() -> None:
    block = party_block()
    message = fix("35=D|453=2|448=a|447=D|452=1|802=2|523=x|803=1|523=y|803=2|448=b|447=D|452=3|55=AAPL")
    outer = entries(message, PARTY_IDS, block)
    assert [end - begin for begin, end in outer] == [8, 3]
    begin, end = outer[0]
    inner = entries(message, PARTY_SUB_IDS, block.groups[PARTY_SUB_IDS], begin, end)
    assert [end - begin for begin, end in inner] == [2, 2]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("453=3|448=a|447=D|448=b|447=D", groups.COUNT_DIFFERS),
        ("453=1|448=a|447=D|448=b|447=D", groups.COUNT_DIFFERS),
        ("453=1|447=D|448=a", groups.NO_DELIMITER),
        ("453=x|448=a", groups.BAD_COUNT),
        ("453=1|55=AAPL", groups.COUNT_DIFFERS),
    ],
)
def test_a_group_that_is_wrong_is_named_by_its_reason(text: str, fault: int) -> None:
    assert entries(fix(f"35=D|{text}|54=1"), PARTY_IDS, party_block()) == fault


def test_no_entries_is_a_group_too() -> None:
    assert entries(fix("35=D|453=0|55=AAPL"), PARTY_IDS, party_block()) == []


@pytest.mark.parametrize("version", dictionary.VERSIONS)
def test_every_data_field_of_the_dictionaries_has_its_length_field(version: str) -> None:
    fields = dictionary.load(version).fields
    data = {tag for tag, spec in fields.items() if spec.type in ("DATA", "XMLDATA")}
    assert data <= set(DATA_FIELDS.values())
