"""CRC-32C: the instruction, the portable one and the published vectors agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_mem.atomics import crc32c, crc32c_portable

READ_PDU = bytes.fromhex(
    "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000"
)
RFC_3720_B4 = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C),
    (READ_PDU, 0xD9963A56),
]


def address_of(raw: bytes) -> int:
    return int(np.frombuffer(raw, np.uint8).ctypes.data)


@pytest.mark.parametrize(("raw", "crc"), RFC_3720_B4)
def test_the_vectors_of_rfc_3720(raw: bytes, crc: int) -> None:
    assert crc32c(address_of(raw), len(raw), 0) == crc
    assert crc32c_portable(address_of(raw), len(raw), 0) == crc


@given(
    words=st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=40),
    start=st.integers(0, 2**32 - 1),
)
def test_the_instruction_and_the_portable_one_agree(words: list[bytes], start: int) -> None:
    raw = b"".join(words)
    assert crc32c(address_of(raw), len(raw), start) == crc32c_portable(address_of(raw), len(raw), start)


@given(words=st.lists(st.binary(min_size=8, max_size=8), min_size=2, max_size=20), data=st.data())
def test_it_can_be_carried_on(words: list[bytes], data: st.DataObject) -> None:
    raw, cut = b"".join(words), 8 * data.draw(st.integers(1, len(words) - 1))
    address = address_of(raw)
    first = crc32c(address, cut, 0)
    assert crc32c(address + cut, len(raw) - cut, first) == crc32c(address, len(raw), 0)
