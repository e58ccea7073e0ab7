"""Where the log ends, read from its files alone: after a power cut, or from a copy of the folder.

Always holds:
- The first bad record after everything known to be synced is a torn tail, and is cut off with the rest of its group; a
  bad record that any later good one proves to have been durable is corruption: nothing is changed, and the error names
  the place.
- What is read may stand in the page cache alone: after a failed fdatasync the kernel calls its pages clean, and another
  sync says that all is well (Rebello et al., ATC 2020). So what no record proves to have been synced is written again,
  and synced, before it counts.

`find_end` only looks; `repair` makes the files what it found.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from shared_mem import log
from shared_mem.atomics import load_u16, load_u32
from shared_mem.jit import jit
from shared_mem.log import LogCorrupt, LogError, place_of, record_is_good, scan, segment_numbers, segment_path

REMEDY: Final = "Nothing was changed. Restore the file from a copy or a standby"


class End(NamedTuple):
    """Where the files end, after a whole group."""

    position: int
    next_seq: int
    epoch: int  # of the last good record
    proven: int  # what stands before it was on disk once: a good record says so
    torn_bytes: int  # behind `position`, up to the last byte that is not zero
    torn_records: int  # whole ones among them: of a group whose end was torn off


@jit
def proof_of_sync(data: int, length: int, bad: int, base_position: int) -> int:
    """Position of a good record after `bad` whose synced_lag proves that the bytes at `bad` were durable; or -1."""
    for at in range(bad + 8, length - log.RECORD_HEADER_BYTES, 8):
        if load_u16(data + at + log.R_KIND) == log.KIND_PADDING or not record_is_good(data + at, length - at):
            continue
        if base_position + at - load_u32(data + at + log.R_SYNCED_LAG) > base_position + bad:
            return base_position + at
    return -1


@jit
def proven_sync(data: int, length: int, base_position: int) -> int:
    """The position before which everything was synced when the newest of the good records in `length` bytes was
    written; at least `base_position`, since a file is begun when the one before is on disk."""
    proven = base_position
    at = 0
    while at + log.RECORD_HEADER_BYTES <= length:
        if load_u16(data + at + log.R_KIND) != log.KIND_PADDING:
            proven = max(proven, base_position + at - load_u32(data + at + log.R_SYNCED_LAG))
        at += (load_u16(data + at + log.R_LENGTH) + 7) & ~7
    return proven


def find_end(log_dir: Path, segment_bytes: int) -> End:
    """Where the files end. Reads all of them and changes nothing. Raises LogCorrupt."""
    numbers = segment_numbers(log_dir)
    end, end_seq = (numbers[0] * segment_bytes if numbers else 0), 1
    proven = used = end
    seq = epoch = 0
    for index, number in enumerate(numbers):
        if number != numbers[0] + index:
            missing = numbers[0] + index
            raise LogCorrupt(
                f"{segment_path(log_dir, missing)} is missing; restore it from a copy or a standby. Nothing was "
                "changed",
                missing * segment_bytes,
            )
        path = segment_path(log_dir, number)
        start = number * segment_bytes
        data = np.fromfile(path, dtype=np.uint8)
        size = min(len(data) - len(data) % 8, segment_bytes)
        walked, seq, epoch, closed, closed_seq = scan(data.ctypes.data, size, seq, epoch)
        if walked > 0:
            proven = int(proven_sync(data.ctypes.data, walked, start))
        if closed >= 0:
            end, end_seq = start + int(closed), int(closed_seq)
        if segment_bytes - walked >= log.RECORD_HEADER_BYTES:
            _check_end(path, data, size, int(walked), segment_bytes, numbers[index + 1 :])
            used = start + len(data.tobytes().rstrip(b"\0"))
            break
    torn_records = max(int(seq) - end_seq, 0)
    return End(end, end_seq, int(epoch), min(proven, end), max(used - end, 0), torn_records)


def _check_end(
    path: Path, data: np.ndarray, size: int, walked: int, segment_bytes: int, later: list[int]
) -> None:
    """The good records end inside `path`, at `walked`. Raises LogCorrupt where something proves that they went on."""
    start = int(path.stem) * segment_bytes
    proof = int(proof_of_sync(data.ctypes.data, size, walked, start))
    for number in later:  # begun only when the one before was synced
        if proof < 0 and np.fromfile(segment_path(path.parent, number), dtype=np.uint8).any():
            proof = number * segment_bytes
    if proof >= 0:
        raise LogCorrupt(
            f"{path} is damaged at offset {walked} (position {start + walked}): what stands at "
            f"{place_of(proof, segment_bytes)} proves that it had been on disk. {REMEDY}",
            start + walked,
        )


def repair(log_dir: Path, segment_bytes: int, end: End) -> None:
    """Cut off what a torn tail left behind the end, and bring what stands before it to disk for certain.

    Written in place: should this be cut off by a power cut in its turn, the next one finds the same end or an earlier
    one, and again nothing that was proven is touched. Raises LogError when the disk does not take it."""
    for number in segment_numbers(log_dir):
        start = number * segment_bytes
        if start + segment_bytes < end.proven:
            continue
        path = segment_path(log_dir, number)
        try:
            _mend(path, max(end.proven - start, 0), min(max(end.position - start, 0), segment_bytes))
        except OSError as error:
            raise LogError(
                f"{path} can't be written: {error}. Nothing is acknowledged until it can; see to the disk, then start "
                "again"
            ) from None


def _mend(path: Path, proven: int, end: int) -> None:
    """Of one file: what stands from `proven` to `end` is written again, what stands behind `end` is wiped."""
    with path.open("r+b", buffering=0) as file:
        fd = file.fileno()
        if proven < end:
            _write(fd, os.pread(fd, end - proven, proven), proven)
        size = os.fstat(fd).st_size
        rest = np.frombuffer(os.pread(fd, max(size - end, 0), end), np.uint8)
        if rest.any():
            _write(fd, bytes(len(rest)), end)
        os.fsync(fd)


def _write(fd: int, data: bytes, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)
