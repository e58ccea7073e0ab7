"""The small files beside a log's segments: its number (`log.id`), the versions that it is written in (`log.format`),
and from which sequence number on it was last begun without its tail (`log.numbers`).

Always holds: they are on disk, whole, before the first record is. A folder in a version that this program can't read is
refused before anything in it is touched.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from shared_mem.log import LogError, segment_numbers

ID_FILE: Final = "log.id"
FORMAT_FILE: Final = "log.format"
NUMBERS_FILE: Final = "log.numbers"
# Folders that have segments and no FORMAT_FILE were written before there was one: in these.
VERSIONS_BEFORE: Final = {"log": 3, "records": 1}


class VersionUnreadable(LogError):
    """A log in a version that this program can't read."""


def log_id(log_dir: Path) -> int:
    """A random number that ties the files to their tail: a wiped folder must not meet an old tail. Made when
    missing."""
    found = read_log_id(log_dir)
    if found is None:
        found = secrets.randbits(62)
        write_durably(log_dir / ID_FILE, f"{found}\n".encode())
    return found


def read_log_id(log_dir: Path) -> int | None:
    """As `log_id`, and None when there is none. Raises LogError."""
    path = log_dir / ID_FILE
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        raise LogError(
            f"{path} is not a number; restore it, or remove it: then the log goes on from its files, and what is in "
            "memory alone is not taken"
        ) from None


def versions(log_dir: Path) -> dict[str, int]:
    """By part, what the folder is written in; {} for one that has nothing yet. Raises LogError."""
    path = log_dir / FORMAT_FILE
    try:
        lines = path.read_text().splitlines()
        return {part: int(version) for part, version in (line.split() for line in lines)}
    except FileNotFoundError:
        return dict(VERSIONS_BEFORE) if segment_numbers(log_dir) else {}
    except ValueError:
        raise LogError(f"{path} is damaged; restore it: it has a line for each part, like `log 3`") from None


def readable(log_dir: Path, part: str, supported: int) -> None:
    """Raises VersionUnreadable when the folder's `part` is there in another version than `supported`."""
    found = versions(log_dir).get(part, supported)
    if found != supported:
        age = "a newer" if found > supported else "an older"
        raise VersionUnreadable(
            f"the log in {log_dir} is written in version {found} of {part!r}, and this program reads version "
            f"{supported}: {age} program wrote it. Start that one, or move the folder away to begin a new log. "
            "Nothing was changed"
        )


def claim(log_dir: Path, part: str, supported: int) -> None:
    """As `readable`, and from now on the folder says that it is in this version."""
    readable(log_dir, part, supported)
    found = versions(log_dir)
    if part not in found or not (log_dir / FORMAT_FILE).exists():
        lines = sorted({**found, part: supported}.items())
        write_durably(log_dir / FORMAT_FILE, "".join(f"{name} {number}\n" for name, number in lines).encode())


def numbered_from(log_dir: Path) -> int:
    """The first sequence number of the last start that had no tail in memory to go on in; 0: there was none. Raises
    LogError."""
    path = log_dir / NUMBERS_FILE
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return 0
    except ValueError:
        raise LogError(
            f"{path} is not a number; restore it, or write the number of the last record there"
        ) from None


def number_from(log_dir: Path, seq: int) -> None:
    """A start without a tail goes on with this number. On disk when this returns."""
    write_durably(log_dir / NUMBERS_FILE, f"{seq}\n".encode())


def write_durably(path: Path, content: bytes) -> None:
    """Whole or not at all, and on disk when this returns, its name too. Raises OSError."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in it durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
