"""`core.ids.exec_hash`, compiled: BLAKE2b (RFC 7693) with a digest of eight bytes, of at most one block of 128."""

from __future__ import annotations

from typing import Final

import numpy as np

from fix.wire.tokens import Array
from shared_mem.atomics import load_i64
from shared_mem.jit import jit, whole

BLOCK_BYTES: Final = 128
_WORDS: Final = 16


def _signed(values: list[int]) -> Array:
    table = np.array(values, np.uint64).view(np.int64)
    table.flags.writeable = False
    return table


_IV: Final = _signed(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ]
)  # fmt: skip
# RFC 7693, 2.7; rounds 10 and 11 are 0 and 1 again.
_SIGMA: Final = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)
# Which words of the state each of a round's eight mixes takes: columns, then diagonals.
_MIXES: Final = np.array(
    [
        [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
        [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
    ],
    np.int64,
)  # fmt: skip
# IV 0 with the parameter block: digest of 8 bytes, no key, fanout and depth 1.
_H0: Final = int(_IV[0]) ^ 0x01010008


def hash_words() -> Array:
    """What `exec_hash` works on."""
    return np.zeros(_WORDS, np.int64)


@jit
def _rotated(word: int, right: int) -> int:
    return ((word >> right) & ((1 << (64 - right)) - 1)) | (word << (64 - right))


@whole
def exec_hash(block: int, length: int, v: Array) -> int:
    """Of an ExecID of `length` <= BLOCK_BYTES at address `block`, where zeros fill the rest of BLOCK_BYTES. v: see
    `hash_words`; every index into it, _SIGMA and the block is one of the tables' own, below 16."""
    if length == 0:
        return 0
    for i in range(8):
        v[i] = _IV[i]
        v[8 + i] = _IV[i]
    v[0] = _H0
    v[12] ^= length
    v[14] = ~v[14]
    for turn in range(12):
        sigma = _SIGMA[turn % 10]
        for mix in range(8):
            a, b, c, d = _MIXES[mix, 0], _MIXES[mix, 1], _MIXES[mix, 2], _MIXES[mix, 3]
            v[a] = v[a] + v[b] + load_i64(block + 8 * sigma[2 * mix])
            v[d] = _rotated(v[d] ^ v[a], 32)
            v[c] = v[c] + v[d]
            v[b] = _rotated(v[b] ^ v[c], 24)
            v[a] = v[a] + v[b] + load_i64(block + 8 * sigma[2 * mix + 1])
            v[d] = _rotated(v[d] ^ v[a], 16)
            v[c] = v[c] + v[d]
            v[b] = _rotated(v[b] ^ v[c], 63)
    digest = _H0 ^ v[0] ^ v[8]
    return digest if digest != 0 else 1
