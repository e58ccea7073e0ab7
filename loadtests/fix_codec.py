"""The FIX codec: what parsing and encoding one message costs, compiled and from Python, beside other codecs.

Compiled, in nanoseconds, inside compiled code as the shard would call it. `parse`: find the frame (BodyLength and
CheckSum), tokenise, check against the FIX 4.4 dictionary (places, repetitions, required fields, formats, listed
values), which reads every number, time and character on its way. `encode`: by a template; BodyLength, numbers,
times and CheckSum are written anew.
From Python, in microseconds: `fix.codec` and its peers, each in the way its users call it. Only quickfix_validated
checks against a dictionary there; bytes_split splits and looks at nothing.
The messages are the same for all: a NewOrderSingle of about 190 bytes and an ExecutionReport of 25 fields, 210 bytes.
Warm: the same message again and again, so caches and branch predictors are at their best, for everyone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import units
from fix import codec, dictionary, timestamps
from fix.wire import checks, frame, template, tokens
from fix.wire.template import Kind
from fix.wire.tokens import Array
from loadtests.measure import Row, progress, row
from shared_mem.atomics import CLOCK_MONOTONIC, clock_ns
from shared_mem.jit import jit

ROUNDS: Final = 7
COMPILED_CALLS: Final = 100_000
PYTHON_CALLS: Final = 2_000

Fields = list[tuple[int, str]]
NOW: Final = "20261124-06:39:16.123"
NEW_ORDER: Final[Fields] = [
    (35, "D"), (34, "1234"), (49, "TRADEWIND"), (52, NOW), (56, "SIMULATOR"), (1, "TW000001"),
    (11, "TW-0-000000012345"), (21, "1"), (38, "100"), (40, "2"), (44, "187.25"), (54, "1"), (55, "AAPL"),
    (59, "0"), (60, NOW),
]  # fmt: skip
EXEC_REPORT: Final[Fields] = [
    (35, "8"), (34, "4321"), (49, "SIM"), (52, NOW), (56, "TW"), (1, "TW"), (6, "187.25"), (11, "T-123"),
    (14, "40"), (17, "E-9"), (31, "187.25"), (32, "40"), (37, "O-4"), (38, "100"), (39, "1"), (40, "2"),
    (44, "187.3"), (54, "1"), (55, "AAPL"), (60, NOW), (150, "F"), (151, "60"),
]  # fmt: skip
MESSAGES: Final = {"new_order": NEW_ORDER, "exec_report": EXEC_REPORT}

# How a template writes a tag's value; any other is TEXT.
_KINDS: Final[dict[int, Kind]] = {
    34: Kind.INT,
    **dict.fromkeys((6, 14, 31, 32, 38, 44, 151), Kind.E8),
    **dict.fromkeys((21, 39, 40, 54, 59, 150), Kind.CHAR),
    **dict.fromkeys((52, 60), Kind.TIME_MS),
}
_FIXED: Final = frozenset((35, 49, 56))


@jit
def _parse(base: int, length: int, table: Array, data_of: Array, rules: Any, numbers: Array) -> int:
    """How many fields were accepted, -1 when the message is not."""
    taken = frame.frame(base, length)
    if taken <= 0:
        return -1
    count = tokens.tokenise(base, taken, table, data_of)
    if count < 0 or not checks.check(table, count, base, rules, numbers):
        return -1
    return count


@jit
def _parse_often(
    base: int, length: int, table: Array, data_of: Array, rules: Any, numbers: Array, calls: int, scratch: int
) -> tuple[int, int]:
    """(nanoseconds, messages accepted)"""
    before = clock_ns(CLOCK_MONOTONIC, scratch)
    accepted = 0
    for _ in range(calls):
        accepted += _parse(base, length, table, data_of, rules, numbers) >= 0
    return clock_ns(CLOCK_MONOTONIC, scratch) - before, accepted


@jit
def _encode_often(
    made: Any,
    slots: Array,
    seq_slot: int,
    time_slot: int,
    now_ns: int,
    out: int,
    room: int,
    calls: int,
    scratch: int,
) -> tuple[int, int]:
    """(nanoseconds, bytes written)"""
    before = clock_ns(CLOCK_MONOTONIC, scratch)
    written = 0
    for i in range(calls):
        slots[seq_slot] = 1000 + i % 9000
        slots[time_slot] = now_ns + i * 1000
        written += template.encode(made, slots, out, room)[1]
    return clock_ns(CLOCK_MONOTONIC, scratch) - before, written


def compiled_parse_ns(fields: Fields) -> list[float]:
    message = np.frombuffer(codec.encode("FIX.4.4", fields), np.uint8).copy()
    rules = checks.rules_of(dictionary.load("FIX.4.4"), fields[0][1])
    numbers = checks.numbers_table()
    table, data_of, scratch = tokens.token_table(), tokens.data_table(), np.zeros(2, np.int64)
    figures = []
    for number in range(ROUNDS + 1):
        spent, accepted = _parse_often(
            message.ctypes.data,
            len(message),
            table,
            data_of,
            rules,
            numbers,
            COMPILED_CALLS,
            scratch.ctypes.data,
        )
        assert accepted == COMPILED_CALLS, f"{accepted} of {COMPILED_CALLS} messages were accepted"
        if number:
            figures.append(spent / COMPILED_CALLS)
    return figures


def compiled_encode_ns(fields: Fields) -> list[float]:
    parts: list[tuple[int, str | Kind]] = [
        (tag, value if tag in _FIXED else _KINDS.get(tag, Kind.TEXT)) for tag, value in fields[1:]
    ]
    built = template.build("FIX.4.4", fields[0][1], parts)
    kept = [_fill(built, tag, value) for tag, value in fields if tag in built.slots]
    out, scratch = np.zeros(1024, np.uint8), np.zeros(2, np.int64)
    start, length = template.encode(built.template, built.values, out.ctypes.data, len(out))
    assert out[start : start + length].tobytes() == codec.encode("FIX.4.4", fields)
    figures = []
    for number in range(ROUNDS + 1):
        spent, written = _encode_often(
            built.template, built.values, built.slots[34], built.slots[52], timestamps.parse_ns(NOW),
            out.ctypes.data, len(out), COMPILED_CALLS, scratch.ctypes.data,
        )  # fmt: skip
        assert written == length * COMPILED_CALLS, f"{written} bytes of {len(kept)} fields"
        if number:
            figures.append(spent / COMPILED_CALLS)
    return figures


def _fill(built: template.Built, tag: int, value: str) -> Array | None:
    """Puts a value where the template wants it. A text's bytes are returned, to be kept."""
    slot, kind = built.slots[tag], _KINDS.get(tag, Kind.TEXT)
    if kind is Kind.TEXT:
        text = np.frombuffer(value.encode(), np.uint8).copy()
        built.values[slot : slot + 2] = text.ctypes.data, len(text)
        return text
    if kind is Kind.E8:
        built.values[slot] = units.price_e8(value)
    elif kind is Kind.TIME_MS:
        built.values[slot] = timestamps.parse_ns(value)
    else:
        built.values[slot] = int(value) if kind is Kind.INT else ord(value)
    return None


# -- from Python -------------------------------------------------------------------------------------------------

Call = Callable[[], object]


def python_parsers(raw: bytes) -> dict[str, Call]:
    """By name, ours first. Raises ImportError where the tests' packages are not installed."""
    import quickfix
    import simplefix
    from fixcore.message.message import Message

    specs = metadata.distribution("fixcore-engine").locate_file("fixcore/specs/FIX44.xml")
    rules = quickfix.DataDictionary(str(Path(str(specs))))
    text = raw.decode("latin-1")

    def ours() -> None:
        framer = codec.Framer()
        framer.feed(raw)
        for found in framer:
            codec.parse(found)

    def by_simplefix() -> None:
        parser = simplefix.FixParser()
        parser.append_buffer(raw)
        parser.get_message()

    return {
        "ours": ours,
        "simplefix": by_simplefix,
        "quickfix": lambda: quickfix.Message(text, False),
        "quickfix_validated": lambda: rules.validate(quickfix.Message(text, rules, True)),
        "fixcore": lambda: Message.decode(raw),
        "bytes_split": lambda: dict(field.split(b"=", 1) for field in raw[:-1].split(b"\x01")),
    }


def python_encoders(fields: Fields) -> dict[str, Call]:
    import quickfix
    import simplefix
    from fixcore.message.message import Message

    header = {8, 9, 34, 35, 49, 52, 56}

    def by_simplefix() -> object:
        message = simplefix.FixMessage()
        message.append_pair(8, "FIX.4.4")
        for tag, value in fields:
            message.append_pair(tag, value)
        return message.encode()

    def by_quickfix() -> object:
        message = quickfix.Message()
        message.getHeader().setField(8, "FIX.4.4")
        for tag, value in fields:
            (message.getHeader() if tag in header else message).setField(tag, value)
        return message.toString()

    def by_fixcore() -> object:
        message = Message()
        message.header.set(8, "FIX.4.4")
        for tag, value in fields:
            if tag in header:
                message.header.set(tag, value)
            else:
                message.set_field(tag, value)
        return message.encode()

    return {
        "ours": lambda: codec.encode("FIX.4.4", fields),
        "simplefix": by_simplefix,
        "quickfix": by_quickfix,
        "fixcore": by_fixcore,
    }


def python_us(calls: dict[str, Call]) -> dict[str, list[float]]:
    """Microseconds a call of each, one figure a round; the codecs take turns within a round."""
    figures: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            before = time.perf_counter_ns()
            for _ in range(PYTHON_CALLS):
                call()
            if number:
                figures[name].append((time.perf_counter_ns() - before) / PYTHON_CALLS / 1000)
    return figures


def _rows(what: str, compiled: list[float], python: dict[str, list[float]], size: str) -> list[Row]:
    """The compiled figure beside QuickFIX's in the same unit, then Python's beside each peer's."""
    peer = python.get("quickfix_validated") or python["quickfix"]
    rows = [
        row(what, "ns", compiled, peer=[us * 1000 for us in peer], note=f"{size}; peer: QuickFIX from Python")
    ]
    for name, figures in python.items():
        if name != "ours":
            rows.append(row(f"{what}_python_{name}", "us", python["ours"], peer=figures))
    return rows


def bench() -> list[Row]:
    rows = []
    for name, fields in MESSAGES.items():
        raw = codec.encode("FIX.4.4", fields)
        size = f"{len(raw)} bytes, {len(codec.parse(raw).fields)} fields"
        progress(f"parsing {name}, {size}")
        rows += _rows(f"parse_{name}", compiled_parse_ns(fields), python_us(python_parsers(raw)), size)
        progress(f"encoding {name}")
        rows += _rows(f"encode_{name}", compiled_encode_ns(fields), python_us(python_encoders(fields)), size)
    return rows
