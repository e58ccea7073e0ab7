"""What the next owner needs beside the log: the FIX sessions' stores, the clients' keys, the followers' cursors.

Always holds:
- Of a session's store whole records go, in their order, so that the copy is at every moment a store that can be opened,
  and never holds a record that the original cut off as torn.
- Other files are small and go as a whole, when they have changed. Cursors change all the time and may be old, as
  after a power cut: they go once a second, and nobody waits for the disk to have them.
- Names stay below the data folder: a name that leads out of it breaks the link.

Must not: ship what is this host's own (locks, its snapshots' and its standby's cursor, the simulator's store).
"""

from __future__ import annotations

import math
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fix.store import whole_bytes
from services.standby.frames import LinkBroken
from services.standby.messages import FilePart

# At once, of one file. A store's segment is 16 MiB (fix/store.py), and one append at most 8.
PART_BYTES_MAX: Final = 12 << 20
# At once, of all files; the rest is looked for again when this has gone. A venue's store may be a gigabyte.
PARTS_BYTES_MAX: Final = 8 << 20
# How often followers' cursors go.
CURSORS_S: Final = 1.0
# A small file: credentials of some thousand clients.
WHOLE_BYTES_MAX: Final = 8 << 20
# By the checksum of so many of its last bytes the standby's copy of a store is known to be one.
PROOF_BYTES: Final = 4096

STORES: Final = "fix"
CURSORS: Final = "cursors"
CREDENTIALS: Final = "credentials.json"
_OWN_CURSORS: Final = frozenset(("snapshots", "standby"))


def shipped_names(data_dir: Path, with_cursors: bool = True) -> Iterator[str]:
    """Every file that is shipped, by its name below the data folder."""
    if (data_dir / CREDENTIALS).is_file():
        yield CREDENTIALS
    for folder, _, names in os.walk(data_dir / STORES):
        for name in sorted(names):
            if name != "lock" and not name.endswith(".new"):
                yield str((Path(folder) / name).relative_to(data_dir))
    cursors = data_dir / CURSORS
    if with_cursors and cursors.is_dir():
        for path in sorted(cursors.iterdir()):
            if path.name not in _OWN_CURSORS:
                yield f"{CURSORS}/{path.name}"


def is_store(name: str) -> bool:
    return name.endswith(".fix")


def held(data_dir: Path) -> dict[str, tuple[int, int]]:
    """Of each store's segment: its bytes, and the checksum of the last of them."""
    found: dict[str, tuple[int, int]] = {}
    for name in shipped_names(data_dir):
        if is_store(name):
            found[name] = _proof(data_dir / name, (data_dir / name).stat().st_size)
    return found


def _proof(path: Path, size: int) -> tuple[int, int]:
    with path.open("rb") as file:
        file.seek(max(0, size - PROOF_BYTES))
        return size, zlib.crc32(file.read(min(size, PROOF_BYTES)))


class Shipper:
    """The owner's side: what of the files is to go. `theirs`: what the standby holds already, as `held` gave it."""

    def __init__(self, data_dir: Path, theirs: dict[str, tuple[int, int]]) -> None:
        self._data_dir = data_dir
        self._sent: dict[str, int] = {}  # bytes of each store
        self._seen: dict[str, tuple[int, int, int]] = {}  # inode, size and time of the other files
        self._cursors_s = -math.inf
        self._gone = [name for name in theirs if not (data_dir / name).is_file()]
        for name, proof in theirs.items():
            path = data_dir / name
            if path.is_file() and path.stat().st_size >= proof[0] and _proof(path, proof[0]) == proof:
                self._sent[name] = proof[0]

    def parts(self) -> list[FilePart]:
        """What is new. To be sent in this order."""
        found = [FilePart(name, 0, b"", is_gone=True) for name in self._gone]
        self._gone = []
        names = set()
        total = 0
        with_cursors = time.monotonic() - self._cursors_s >= CURSORS_S
        if with_cursors:
            self._cursors_s = time.monotonic()
        for name in shipped_names(self._data_dir, with_cursors):
            names.add(name)
            if total >= PARTS_BYTES_MAX:
                continue
            try:
                part = self._of_store(name) if is_store(name) else self._of_small(name)
            except FileNotFoundError:
                continue  # removed since it was listed
            if part is not None:
                found.append(part)
                total += len(part.data)
        gone = [n for n in (*self._sent, *self._seen) if n not in names]
        for name in gone if with_cursors else [n for n in gone if not n.startswith(CURSORS)]:
            self._sent.pop(name, None)
            self._seen.pop(name, None)
            found.append(FilePart(name, 0, b"", is_gone=True))
        return found

    def _of_store(self, name: str) -> FilePart | None:
        path = self._data_dir / name
        at = self._sent.get(name, 0)
        if path.stat().st_size <= at:
            return None
        with path.open("rb") as file:
            file.seek(at)
            data = file.read(PART_BYTES_MAX)
        whole = whole_bytes(data)
        if whole == 0:
            return None
        self._sent[name] = at + whole
        return FilePart(name, at, data[:whole], replaces=at == 0)

    def _of_small(self, name: str) -> FilePart | None:
        path = self._data_dir / name
        status = path.stat()
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        if self._seen.get(name) == seen or status.st_size > WHOLE_BYTES_MAX:
            return None
        data = path.read_bytes()
        self._seen[name] = seen
        return FilePart(name, 0, data, replaces=True)


def receive(data_dir: Path, part: FilePart) -> None:
    """The standby's side: the part is on disk when this returns. Raises LinkBroken, OSError."""
    path = data_dir / part.name
    allowed = part.name == CREDENTIALS or Path(part.name).parts[:1] in ((STORES,), (CURSORS,))
    if not allowed or ".." in Path(part.name).parts or not path.resolve().is_relative_to(data_dir.resolve()):
        raise LinkBroken(f"a part of {part.name!r} came, which is no file of a standby")
    if part.is_gone:
        path.unlink(missing_ok=True)
        return
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if part.replaces and not is_store(part.name):
        fresh = path.with_name(path.name + ".new")
        is_cursor = part.name.startswith(CURSORS)
        _write(fresh, 0, part.data, is_synced=not is_cursor)
        fresh.replace(path)
        if not is_cursor:
            _sync_folder(path.parent)
        return
    size = path.stat().st_size if path.exists() else 0
    if not part.replaces and size < part.offset:
        raise LinkBroken(f"{part.name} has {size} bytes here, and its part begins at {part.offset}")
    _write(path, part.offset, part.data)
    if is_new:
        _sync_folder(path.parent)


def _write(path: Path, offset: int, data: bytes, is_synced: bool = True) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(fd, offset)
        done = 0
        while done < len(data):
            done += os.pwrite(fd, data[done:], offset + done)
        if is_synced:
            os.fdatasync(fd)
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
