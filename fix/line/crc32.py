"""CRC-32 as zlib has it (ISO 3309, reflected polynomial 0xEDB88320), compiled: what a store's record ends on.

Eight bytes a step by eight tables (Kounavis and Berry, "A Systematic Approach to Building High Performance,
Software-based, CRC Generators", ISCC 2005).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fix.wire.tokens import Array
from shared_mem.atomics import load_i64, load_u8
from shared_mem.jit import jit

_POLYNOMIAL: Final = 0xEDB88320


def _tables() -> Array:
    """Table k, row b: the remainder of byte b with k zero bytes behind it."""
    tables = np.zeros((8, 256), np.int64)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        tables[0, byte] = crc
    for k in range(1, 8):
        for byte in range(256):
            before = int(tables[k - 1, byte])
            tables[k, byte] = (before >> 8) ^ tables[0, before & 0xFF]
    tables.flags.writeable = False
    return tables


_TABLES: Final = _tables()


@jit
def crc32(address: int, length: int) -> int:
    """Of `length` bytes; every table row is 0..255."""
    crc = 0xFFFFFFFF
    at = 0
    while at + 8 <= length:
        word = load_i64(address + at) ^ crc  # crc is below 2**32: it meets the first four bytes
        crc = (
            _TABLES[7, word & 0xFF]
            ^ _TABLES[6, (word >> 8) & 0xFF]
            ^ _TABLES[5, (word >> 16) & 0xFF]
            ^ _TABLES[4, (word >> 24) & 0xFF]
            ^ _TABLES[3, (word >> 32) & 0xFF]
            ^ _TABLES[2, (word >> 40) & 0xFF]
            ^ _TABLES[1, (word >> 48) & 0xFF]
            ^ _TABLES[0, (word >> 56) & 0xFF]
        )
        at += 8
    while at < length:
        crc = (crc >> 8) ^ _TABLES[0, (crc ^ load_u8(address + at)) & 0xFF]
        at += 1
    return crc ^ 0xFFFFFFFF
