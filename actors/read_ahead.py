"""Reading the log ahead of a replay: a second thread reads the next piece and compares its checksums, while the replay
applies the piece before.

Always holds: pieces come in the log's order, and each ends between two commands; one is ahead at the most.
Must not do: say what a bad record means. The pieces end before it, and the replay looks for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np

from shared_mem import log
from shared_mem.atomics import load_u16
from shared_mem.jit import jit
from shared_mem.log_view import PIECE_BYTES, Source

# Behind by less, a replay is done before a thread has begun.
FAR_BEHIND: Final = 2 * PIECE_BYTES


class Piece(NamedTuple):
    """The log from `position` on: of `raw`, the first `whole` bytes are good records, the last one's command whole."""

    raw: bytes
    position: int
    whole: int


@jit
def whole_commands(data: int, length: int, position: int, segment: int) -> int:
    """How many of the bytes at `data` are good records, up to the last command, which may have events behind them."""
    at = whole = 0
    while True:
        left = segment - ((position + at) & (segment - 1))
        if left < log.RECORD_HEADER_BYTES:
            at += left
        if at + log.RECORD_HEADER_BYTES > length or not log.record_is_good(data + at, length - at):
            return whole
        if load_u16(data + at + log.R_KIND) < log.KIND_CLOSING:
            whole = at
        at += (load_u16(data + at + log.R_LENGTH) + 7) & ~7


def read_ahead(source: Source, end: int, segment: int) -> Iterator[Piece]:
    """From where the source stands to the last command before `end` or before a bad record; moves nothing."""

    def piece(position: int) -> Piece:
        raw = source.raw_from(position, end)
        address = np.frombuffer(raw, np.uint8).ctypes.data if raw else 0
        return Piece(raw, position, int(whole_commands(address, len(raw), position, segment)))

    with ThreadPoolExecutor(1, "read-ahead") as thread:
        coming = thread.submit(piece, source.position)
        while (found := coming.result()).whole > 0:
            coming = thread.submit(piece, found.position + found.whole)
            yield found
