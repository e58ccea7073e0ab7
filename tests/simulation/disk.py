"""A machine's disk: what its files hold, and what of that would be there after a power cut.

The files are real ones in a memory file system, and stand for the page cache. What a file held when it was last synced
is what the disk is sure to have. A power cut leaves of everything since then what chance decides, sector by sector:
the old, the new, half of it, or the new with a bit changed. Names of files come and go with the sync of their folder.

Always holds: what was synced is there after a power cut, bit for bit; the kill of a process loses nothing that was
written. After a failed sync (Rebello et al., ATC 2020) the files look as written and the disk lacks it, also after a
later sync that succeeds, until it is written again.

What it does not do: lose a folder that was made, reorder renames within a folder, or lie about a sync.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from tests.simulation.world import World

SECTOR: Final = 512
_WORD: Final = 8

Ranges = list[tuple[int, int]]


class Disk:
    """Everything below `root`. `torn`: how many unsynced sectors end half new."""

    def __init__(self, world: World, root: Path, torn: float) -> None:
        self._world = world
        self.root = root
        self._torn = torn
        self._held: dict[int, bytes] = {}  # by inode: the content that was synced
        self._lost: dict[int, Ranges] = {}  # by inode: written, and dropped by a failed sync
        self._watched: set[int] = set()  # inodes whose writes are seen
        self._names: dict[Path, dict[str, int]] = {}  # by folder: the names that were synced
        self.is_full = False
        self.fails_sync = False  # the next one

    # --- what processes do (seams) -------------------------------------------------------------------

    def has(self, path: Path) -> bool:
        return path.is_relative_to(self.root)

    def wrote(self, fd: int, offset: int, length: int) -> None:
        """What a failed sync dropped is dirty again where it is written again."""
        inode = os.fstat(fd).st_ino
        self._watched.add(inode)
        if inode in self._lost:
            self._lost[inode] = _without(self._lost[inode], offset, offset + length)

    def sync(self, fd: int, path: Path) -> None:
        """Raises OSError, once, where that is asked for."""
        if self.fails_sync and not path.is_dir():
            self.fails_sync = False
            self._drop(fd)
            self._world.saw("sync fails")
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if path.is_dir():
            self._names[path] = _files(path)
            return
        inode = os.fstat(fd).st_ino
        content = _content(fd)
        if lost := self._lost.get(inode):
            held = self._held.get(inode, b"").ljust(len(content), b"\0")
            patched = bytearray(content)
            for begin, end in lost:
                patched[begin:end] = held[begin:end]
            content = bytes(patched)
        self._held[inode] = content

    def _drop(self, fd: int) -> None:
        inode = os.fstat(fd).st_ino
        if inode not in self._watched:
            return  # written whole, under another name: nobody goes on with what it shows
        content = _content(fd)
        held = self._held.get(inode, b"").ljust(len(content), b"\0")
        lost = self._lost.setdefault(inode, [])
        for at in range(0, len(content), SECTOR):
            if content[at : at + SECTOR] != held[at : at + SECTOR]:
                lost.append((at, min(at + SECTOR, len(content))))

    # --- what happens to it ---------------------------------------------------------------------------

    def power_cut(self) -> None:
        """The files become what the disk kept. Nobody may have one open."""
        for folder in self._folders():
            self._cut_folder(folder)
        self._held.clear()
        self._lost.clear()
        self._watched.clear()
        self._names.clear()
        for folder in self._folders():
            self._names[folder] = _files(folder)
            for name, inode in self._names[folder].items():
                self._held[inode] = (folder / name).read_bytes()

    def _folders(self) -> list[Path]:
        return [self.root, *sorted(path for path in self.root.rglob("*") if path.is_dir())]

    def remove(self, folder: Path) -> None:
        """An operator takes a folder away, for good."""
        self._names.pop(folder, None)
        shutil.rmtree(folder, ignore_errors=True)

    def _cut_folder(self, folder: Path) -> None:
        rng, world = self._world.rng, self._world
        now, kept = _files(folder), self._names.get(folder, {})
        names = now
        if now != kept and rng.random() < 0.5:
            names = kept
            world.saw("a name is lost in a power cut")
        contents = {inode: (folder / name).read_bytes() for name, inode in now.items()}
        images = {}
        for name, inode in sorted(names.items()):
            held = self._held.get(inode, b"")
            images[name] = self._image(held, self._cached(inode, held, contents.get(inode, held)))
        for name in now:
            (folder / name).unlink()
        for name, image in images.items():
            (folder / name).write_bytes(image)

    def _cached(self, inode: int, held: bytes, content: bytes) -> bytes:
        """Without what a failed sync dropped: it is in no cache that would be written back."""
        if not (lost := self._lost.get(inode)):
            return content
        patched = bytearray(content)
        held = held.ljust(len(content), b"\0")
        for begin, end in lost:
            patched[begin:end] = held[begin:end]
        return bytes(patched)

    def _image(self, held: bytes, content: bytes) -> bytes:
        if held == content:
            return held
        rng, world = self._world.rng, self._world
        size = len(content)
        if len(held) < size:
            size = rng.choice((len(held), size, rng.randrange(len(held), size + 1)))
        held, content = held.ljust(size, b"\0")[:size], content.ljust(size, b"\0")[:size]
        pieces = []
        writes_back = rng.random()  # how much of it had been written back
        for at in range(0, size, SECTOR):
            old, new = held[at : at + SECTOR], content[at : at + SECTOR]
            if old == new:
                pieces.append(old)
            elif rng.random() < self._torn:
                world.saw("a sector is torn")
                cut = rng.randrange(0, len(new), _WORD)
                pieces.append(new[:cut] + old[cut:] if rng.random() < 0.8 else self._flipped(old, new))
            elif rng.random() < writes_back:
                pieces.append(new)
            else:
                world.saw("a sector is lost")
                pieces.append(old)
        return b"".join(pieces)

    def _flipped(self, old: bytes, new: bytes) -> bytes:
        """The new one with a bit of what is new in it turned."""
        rng = self._world.rng
        at = rng.choice([at for at in range(len(new)) if old[at] != new[at]])
        return new[:at] + bytes((new[at] ^ 1 << rng.randrange(8),)) + new[at + 1 :]


def _files(folder: Path) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {entry.name: entry.inode() for entry in entries if entry.is_file()}


def _content(fd: int) -> bytes:
    return Path(f"/proc/self/fd/{fd}").read_bytes()  # also of one that was opened to write alone


def _without(ranges: Ranges, begin: int, end: int) -> Ranges:
    left: Ranges = []
    for first, last in ranges:
        if last <= begin or first >= end:
            left.append((first, last))
            continue
        if first < begin:
            left.append((first, begin))
        if last > end:
            left.append((end, last))
    return left
