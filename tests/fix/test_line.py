"""The parts of a compiled line, each beside its plain counterpart."""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import ids
from fix.line.crc32 import crc32
from fix.line.keep import keep, record_buffer
from fix.line.row import RX_BYTES, STATE_BYTES, Table, Why
from fix.line.take import make_reader, next_message
from fix.session_events import Sent
from fix.store import SEGMENT_BYTES_MAX, Store
from gateways.direct.exec_hash import BLOCK_BYTES, exec_hash, hash_words
from gateways.direct.reports_in import order_named
from gateways.direct.reports_out import average_e8
from gateways.fix_request_ids import request_id_in, request_id_of
from tests.fix.wire import NOON_NS, from_peer

PLAIN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=BLOCK_BYTES)


def memory(data: bytes, room: int = 0) -> np.ndarray:
    found = np.zeros(max(len(data), room, 1), np.uint8)
    found[: len(data)] = np.frombuffer(data, np.uint8)
    return found


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_the_checksum_is_zlibs(data: bytes) -> None:
    held = memory(data)
    assert crc32(held.ctypes.data, len(data)) == zlib.crc32(data)


@settings(deadline=None)
@given(PLAIN)
def test_the_hash_of_an_exec_id_is_that_of_the_ids(exec_id: str) -> None:
    held = memory(exec_id.encode(), BLOCK_BYTES)
    assert exec_hash(held.ctypes.data, len(exec_id), hash_words()) == ids.exec_hash(exec_id)


@settings(deadline=None)
@given(
    st.one_of(
        st.builds(ids.cl_ord_id, st.integers(0, 4095), st.integers(0, 2**62)),
        st.builds(ids.replace_cl_ord_id, st.integers(0, 99), st.integers(0, 99), st.integers(0, 9)),
        st.text("TW0123456789-R", max_size=30),
    )
)
def test_an_order_is_named_as_the_ids_name_it_or_left_to_them(text: str) -> None:
    held = memory(text.encode(), 1)
    number = order_named(held.ctypes.data, len(text))
    if number >= 0:
        assert ids.parse_cl_ord_id(text) == (number, 0)


@settings(deadline=None)
@given(st.integers(0, 2**62 - 1))
def test_every_order_of_eighteen_digits_is_named(number: int) -> None:
    held = memory(ids.cl_ord_id(0, number).encode())
    assert order_named(held.ctypes.data, len(ids.cl_ord_id(0, number))) == (number if number < 10**18 else -1)


@settings(deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 10**18))
def test_an_average_is_exact_half_up_or_left_to_python(notional_e6: int, cum_e8: int) -> None:
    found = average_e8(notional_e6, cum_e8)
    if cum_e8 == 0:
        assert found == 0
    elif found >= 0:
        exact = Fraction(notional_e6 * 10**10, cum_e8)
        assert found == (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)


def test_an_average_of_a_usual_trade_is_not_left_to_python() -> None:
    assert average_e8(1_500_000_000, 10 * 10**8) == 150 * 10**8


@settings(deadline=None)
@given(st.integers(1, 2**32 - 1), st.integers(0, 2**20), st.integers(1, 2**40))
def test_a_request_id_has_the_same_bits(account: int, resets: int, seq: int) -> None:
    assert request_id_in(account, resets, seq) % 2**64 == request_id_of(account, resets, seq)


# --- the store's record -------------------------------------------------------------------------------------------


def lent_row(store: Store) -> tuple[Table, int]:
    table = Table(1)
    number = table.add()
    file = store.lend()
    assert file is not None
    line = table.lines[number]
    line["store_fd"], line["store_size"], line["store_limit"] = file
    line["next_in"], line["next_out"], line["generation"] = store.next_in, store.next_out, store.generation
    return table, number


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.binary(min_size=1, max_size=300), st.integers(-1, 2**62)), max_size=6
    )
)
def test_a_record_is_what_the_store_writes(
    tmp_path_factory: pytest.TempPathFactory, appends: list[tuple[bool, bytes, int]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("kept")
    ours, theirs = Store(folder / "ours"), Store(folder / "theirs")
    table, number = lent_row(ours)
    table.set_state(number, b"abc" + bytes(8) + b"z", 3, False)
    line, record = table.lines[number], record_buffer()
    for admin, raw, cursor in appends:
        line["next_in"] += 1
        held = memory(raw)
        assert keep(line, record, held.ctypes.data, len(raw), int(admin), cursor)
        state = None if cursor < 0 else b"abc" + cursor.to_bytes(8, "little") + b"z"
        theirs.append(theirs.next_in + 1, [Sent(theirs.next_out, raw, admin, True)], state)
    assert (folder / "ours" / "00000001.fix").read_bytes() == (
        folder / "theirs" / "00000001.fix"
    ).read_bytes()
    ours.take_back(int(line["next_in"]), int(line["next_out"]), int(line["store_size"]), theirs.state)
    assert list(ours.read(1, 99)) == list(theirs.read(1, 99))
    ours.append(50, [Sent(ours.next_out, b"after", False, True)])
    theirs.append(50, [Sent(theirs.next_out, b"after", False, True)])
    assert list(ours.read(1, 99)) == list(theirs.read(1, 99))
    assert (ours.next_in, ours.next_out, ours.state) == (theirs.next_in, theirs.next_out, theirs.state)
    ours.close()
    theirs.close()


def test_a_full_segment_and_a_failed_write_hand_the_row_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    table, number = lent_row(store)
    line, record, held = table.lines[number], record_buffer(), memory(b"8=FIX")
    assert line["store_limit"] == SEGMENT_BYTES_MAX
    line["store_size"] = line["store_limit"]
    assert not keep(line, record, held.ctypes.data, 5, 0, -1)
    assert line["why"] == Why.SEGMENT
    line["store_size"], line["store_fd"] = 0, 1 << 20  # no such descriptor
    assert not keep(line, record, held.ctypes.data, 5, 0, -1)
    assert line["why"] == Why.STORE
    assert line["next_out"] == 1, "no number is given out"
    store.close()


def test_a_store_that_syncs_is_not_lent(tmp_path: Path) -> None:
    store = Store(tmp_path, sync=True)
    assert store.lend() is None
    store.close()


# --- the header ---------------------------------------------------------------------------------------------------


def found_in(data: bytes, next_in: int = 5) -> int:
    table = Table(1)
    number = table.add()
    table.name(number, "ISLD", "TW")
    table.put_received(number, data)
    line = table.lines[number]
    line["next_in"], line["skew_ns_max"] = next_in, 120 * 10**9
    return int(next_message(line, make_reader(), NOON_NS))


GOOD = from_peer("0", 5)


def test_the_expected_message_is_found_whole() -> None:
    assert found_in(GOOD) == len(GOOD)
    assert found_in(GOOD + GOOD) == len(GOOD)


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_part_of_a_message_waits(length: int) -> None:
    assert found_in(GOOD[:length]) == 0


@pytest.mark.parametrize(
    "message",
    [
        from_peer("0", 4),
        from_peer("0", 6),
        from_peer("0", 5, sender="TWO"),
        from_peer("0", 5, sender="T"),
        from_peer("0", 5, target="ISLE"),
        from_peer("0", 5, "43=Y", NOON_NS - 121 * 10**9),
        from_peer("0", 5, "", NOON_NS - 121 * 10**9),
        from_peer("0", 5, "", NOON_NS + 121 * 10**9),
        GOOD.replace(b"FIX.4.4", b"FIX.4.2"),
        GOOD[:-4] + b"000\x01",
        b"nonsense" + GOOD,
    ],
)
def test_any_other_message_is_for_python(message: bytes) -> None:
    assert found_in(message) == -1


def test_a_message_that_does_not_fit_is_for_python() -> None:
    long = from_peer("B", 5, "58=" + "x" * (2 * RX_BYTES))
    assert found_in(long[:RX_BYTES]) == -1


def test_a_row_has_bounds() -> None:
    table = Table(1)
    table.add()
    with pytest.raises(IndexError):
        table.add()
    with pytest.raises(ValueError, match="CompID"):
        table.name(0, "x" * 65, "y")
    with pytest.raises(ValueError, match="a state of"):
        table.set_state(0, bytes(STATE_BYTES + 1), 0, False)
    with pytest.raises(ValueError, match="bytes"):
        table.put_received(0, bytes(RX_BYTES + 1))
