"""What processes print: one bounded file each, `data_dir/logs/NAME.log` and one older `NAME.log.1`.

The files are opened for appending and handed to the processes as stdout and stderr, so rotation copies and
cuts: nobody has to open anything anew. A line written between the copy and the cut is lost, which only a
process that prints megabytes can bring about.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# A week of a quiet process, or the last minutes of one that raves; two files a process, fifteen processes.
LOG_BYTES_MAX: Final = 8 << 20
TAIL_BYTES: Final = 64 << 10
FOLLOW_S: Final = 0.25


def open_for(logs_dir: Path, name: str) -> int:
    """A descriptor that appends to NAME's log."""
    path = logs_dir / f"{name}.log"
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(logs_dir: Path) -> None:
    """Cuts every log that has grown past LOG_BYTES_MAX."""
    for path in logs_dir.glob("*.log"):
        if path.stat().st_size > LOG_BYTES_MAX:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` lines of a log; none where there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def last_line(logs_dir: Path, name: str) -> str:
    """The last line that says something: what a person looks for first when a process has died."""
    said = [line.strip() for line in tail(logs_dir / f"{name}.log", 50) if line.strip()]
    return said[-1] if said else "it said nothing"


def follow(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """Lines as they are written to any of `paths`, for ever; starts at their ends."""
    positions = {path: path.stat().st_size for path in paths}
    while True:
        for path in paths:
            size = path.stat().st_size
            if size < positions[path]:  # it was cut
                positions[path] = 0
            if size > positions[path]:
                with path.open("rb") as file:
                    file.seek(positions[path])
                    chunk = file.read()
                whole = chunk[: chunk.rfind(b"\n") + 1]
                positions[path] += len(whole)
                for line in whole.decode(errors="replace").splitlines():
                    yield path, line
        time.sleep(FOLLOW_S)
