"""Where the log ends, read from its files alone: after a power cut, or from a copy of the folder.

Always holds: the first bad record after everything known to be synced is a torn tail, and is cut off with the rest
of its group; a bad record that any later good one proves to have been durable is corruption: nothing is changed, and
the error names the place.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from shared_mem import log
from shared_mem.atomics import load_u16, load_u32
from shared_mem.jit import jit
from shared_mem.log import LogCorrupt, record_is_good, scan, segment_numbers, segment_path


@jit
def proof_of_sync(data: int, length: int, bad: int, base_position: int) -> int:
    """Position of a good record after `bad` whose synced_lag proves that the bytes at `bad` were durable; or -1."""
    for at in range(bad + 8, length - log.RECORD_HEADER_BYTES, 8):
        if load_u16(data + at + log.R_KIND) == log.KIND_PADDING or not record_is_good(data + at, length - at):
            continue
        if base_position + at - load_u32(data + at + log.R_SYNCED_LAG) > base_position + bad:
            return base_position + at
    return -1


def find_end(log_dir: Path, segment_bytes: int, *, repair: bool) -> tuple[int, int, int]:
    """Where the files end, after a whole group: (position, next seq, last epoch). Raises LogCorrupt.

    repair: cut off what a torn tail left behind it, and see to it that the rest is on disk."""
    numbers = segment_numbers(log_dir)
    end, end_seq = (numbers[0] * segment_bytes if numbers else 0), 1
    seq = epoch = 0
    for index, number in enumerate(numbers):
        if number != numbers[0] + index:
            raise LogCorrupt(
                f"{segment_path(log_dir, numbers[0] + index)} is missing; restore it from a copy"
            )
        path = segment_path(log_dir, number)
        data = np.fromfile(path, dtype=np.uint8)
        size = len(data) - len(data) % 8
        walked, seq, epoch, closed, closed_seq = scan(data.ctypes.data, size, seq, epoch)
        if closed >= 0:
            end, end_seq = number * segment_bytes + int(closed), int(closed_seq)
        if segment_bytes - walked >= log.RECORD_HEADER_BYTES:
            _check_end(path, data, size, int(walked), number * segment_bytes, numbers[index + 1 :])
            break
    if repair:
        _cut(log_dir, [n for n in numbers if (n + 1) * segment_bytes >= end], end, segment_bytes)
    return end, end_seq, int(epoch)


def _check_end(
    path: Path, data: np.ndarray, size: int, walked: int, file_position: int, later: list[int]
) -> None:
    """The good records end inside `path`, at `walked`. Raises LogCorrupt where something proves that they went on."""
    proof = int(proof_of_sync(data.ctypes.data, size, walked, file_position))
    for number in later:  # begun only when the one before was synced
        if proof < 0 and np.fromfile(segment_path(path.parent, number), dtype=np.uint8).any():
            proof = file_position + (number - int(path.stem)) * len(data)
    if proof >= 0:
        raise LogCorrupt(
            f"{path} is damaged at offset {walked} (position {file_position + walked}): the record at position "
            f"{proof} proves that it had been on disk. Nothing was changed. Restore the file from a copy or a standby"
        )


def _cut(log_dir: Path, numbers: list[int], end: int, segment_bytes: int) -> None:
    """Wipe what stands behind `end`; what stands before it may still be in the page cache alone: sync it."""
    for number in numbers:
        with segment_path(log_dir, number).open("r+b") as file:
            keep = min(max(end - number * segment_bytes, 0), segment_bytes)
            file.seek(keep)
            rest = np.frombuffer(file.read(), np.uint8)
            if rest.any():
                file.seek(keep)
                file.write(bytes(len(rest)))
                file.flush()
            os.fsync(file.fileno())
