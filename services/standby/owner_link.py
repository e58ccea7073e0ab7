"""The owner's end of one link: what goes to the standby that was let in, in which order, and what comes back.

Always holds:
- Only what is synced here is sent, so a standby's log is never ahead of its owner's, and never has to be cut.
- A session's store goes after the log up to where the store has read it.
- Nothing waits without bound: at most WINDOW_BYTES of the log are under way, and a standby that is silent for SILENT_S
  is hung up on.
"""

from __future__ import annotations

import logging
import select
import socket
import time
from collections import deque
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from actors.marks import Mark
from services.standby.files import Shipper, is_store
from services.standby.frames import Framer, LinkBroken, encode
from services.standby.messages import (
    IS_WHOLE,
    POSITION_BYTES,
    Ack,
    Beat,
    FilePart,
    Hello,
    Kind,
    Marks,
    Welcome,
    pack,
    unpack,
)
from services.standby.standing import Standing
from shared_mem import lease
from shared_mem.log import Gate, Reader
from shared_mem.log_reader import LogReader
from shared_mem.shipped import Shipped

_log: Final = logging.getLogger("tradewind.replicator")

# Sent and not acknowledged: enough to fill 80 ms at a gigabit, small beside what a standby may lag.
WINDOW_BYTES: Final = 8 << 20
# One piece of the log; a quarter of a segment at most (shared_mem/log_copy.py), with room for what is left over.
PIECE_BYTES: Final = 1 << 20
PIECE_SHARE: Final = 8
# Beats a second tell a dead link from a quiet one, and carry the lease.
BEAT_S: Final = 0.1
# How often files are looked over without being asked to, and marks for new ones.
FILES_S: Final = 0.25
MARKS_S: Final = 1.0
# A standby that syncs what fills the window still answers beats within this.
SILENT_S: Final = 10.0
RECEIVE_BYTES: Final = 64 << 10

# Where the role `snapshots` leaves its newest marks, in the run folder.
MARKS_FILE: Final = "state.marks"


class Places(NamedTuple):
    """Folders of this host. snapshot: the local copy of the newest one."""

    data_dir: Path
    log_dir: Path
    run_dir: Path
    snapshot: Path


class Link:
    """One standby that was let in."""

    def __init__(
        self, standing: Standing, places: Places, connection: socket.socket, hello: Hello, welcome: Welcome
    ) -> None:
        self._standing = standing
        self._places = places
        self._connection = connection
        self._host = hello.host
        self._framer = Framer()
        self._out = bytearray()
        self._reader = LogReader(places.log_dir, places.run_dir, Reader.STANDBY, welcome.start, Gate.SYNCED)
        self._acked = welcome.start
        self._piece = min(PIECE_BYTES, welcome.segment_bytes // PIECE_SHARE)
        self._shipper = Shipper(places.data_dir, hello.files)
        self._waiting: list[
            FilePart
        ] = []  # until the log has gone up to `_waiting_for`, which they may speak of
        self._waiting_for = 0
        self._parts: deque[tuple[int, str, int]] = (
            deque()
        )  # under way: which part it is, its file, where it ends
        self._parts_sent = 0
        self._words: dict[str, Shipped] = {}
        self._marks_sent = 0  # the last one's seq
        self._beat_s = self._files_s = self._marks_s = 0.0
        self._heard_s = time.monotonic()
        self._handing_over = False
        self._handed_to = -1
        self.was_handed_over = False

    def run(self, stop: int) -> bool:
        """Until it ends by an error; True when this process is to stop."""
        self._connection.settimeout(0)
        fd, bell = self._connection.fileno(), self._reader.fileno()
        try:
            while True:
                self._fill()
                self._send()
                self._reader.park()
                quiet = not self._has_more()
                ready = poll([fd, bell, stop], BEAT_S / 2 if quiet else 0.0, fd if self._out else None)
                self._reader.wake()
                if stop in ready:
                    return True
                if bell in ready:
                    self._files_s = 0.0
                    self._standing.released()
                if fd in ready:
                    self._receive()
                if self.was_handed_over:
                    return True
                if time.monotonic() - self._heard_s > SILENT_S:
                    raise LinkBroken(f"nothing was heard of {self._host} for {SILENT_S:.0f} s")
                self._standing.look_whether_away()
        finally:
            self._reader.close()

    # -- out -------------------------------------------------------------------------------------------------

    def _has_more(self) -> bool:
        return self._reader.position < self._reader.end_position() and self._may_send()

    def _may_send(self) -> bool:
        under_way = self._reader.position - self._acked
        return len(self._out) < self._piece and under_way < WINDOW_BYTES

    def _fill(self) -> None:
        """What is next goes to the socket's buffer. A session's store says how far it has read the log: it goes after
        the log up to there, so that the standby's sessions are never ahead of its log."""
        now_s = time.monotonic()
        if now_s - self._files_s >= FILES_S and not self._waiting and len(self._out) < WINDOW_BYTES:
            self._files_s = now_s
            self._waiting = self._shipper.parts()
            self._waiting_for = self._standing.tail.synced
        while self._may_send():
            position, end = self._reader.position, self._reader.end_position()
            raw = self._reader.raw(min(end, position + self._piece))
            if not raw:
                break
            body = position.to_bytes(POSITION_BYTES, "little") + raw
            whole = position + len(raw) == end
            self._out += encode(int(Kind.LOG), body, IS_WHOLE if whole else 0)
            self._reader.position += len(raw)
        if self._waiting and self._reader.position >= self._waiting_for:
            self._add_files()
        if now_s - self._marks_s >= MARKS_S:
            self._marks_s = now_s
            new = [mark for mark in _marks(self._places.run_dir / MARKS_FILE) if mark.seq > self._marks_sent]
            if new:
                self._marks_sent = new[-1].seq
                self._out += pack(Kind.MARKS, Marks(new))
        if now_s - self._beat_s >= BEAT_S:
            self._beat_s = now_s
            self._out += pack(Kind.BEAT, Beat(lease.boot_ns(), self._standing.tail.synced))
        if self._handing_over and not self._waiting and self._reader.position >= self._handed_to >= 0:
            self._out += pack(Kind.HANDED_OVER, Beat(0, self._handed_to))
            self._handing_over = False

    def _add_files(self) -> None:
        for part in self._waiting:
            self._parts_sent += 1
            end = -1 if part.is_gone else part.offset + len(part.data)
            self._parts.append((self._parts_sent, part.name, end))
            self._out += pack(Kind.FILE, part)
        self._waiting = []

    def _send(self) -> None:
        if not self._out:
            return
        try:
            sent = self._connection.send(self._out)
        except BlockingIOError:
            return
        del self._out[:sent]

    # -- in --------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            data = self._connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        if not data:
            raise LinkBroken(f"{self._host} closed the link")
        self._framer.feed(data)
        while (frame := self._framer.next_frame()) is not None:
            self._heard_s = time.monotonic()
            if frame.kind == Kind.HAND_OVER:
                self._hand_over()
                continue
            ack = unpack(frame, Kind.ACK, Ack)
            if ack.diverged:
                self._standing.diverged(self._host, ack)
                raise LinkBroken(f"{self._host} has stopped: {ack.diverged}")
            if not self._acked <= ack.position <= self._reader.position:
                raise LinkBroken(f"{self._host} acknowledges position {ack.position}, which was not sent")
            self._acked = ack.position
            self._take_files(ack.files)
            self._standing.acknowledged(self._host, ack)
            if self._handed_to >= 0 and not self._handing_over and ack.position >= self._handed_to:
                self.was_handed_over = True

    def _take_files(self, count: int) -> None:
        """`count` parts are on the standby's disk: the sessions that wait for that may go on."""
        while self._parts and self._parts[0][0] <= count:
            _, name, end = self._parts.popleft()
            if is_store(name) and end >= 0:
                folder = str(Path(name).parent)
                word = self._words.get(folder) or Shipped(self._places.run_dir, folder)
                self._words[folder] = word
                word.put(int(Path(name).stem), end)

    def _hand_over(self) -> None:
        """An operator's take-over while both live: nothing leaves this host any more; all that was synced goes over."""
        _log.warning("%s takes over: nothing leaves this host any more", self._host)
        lease.fence(self._standing.tail)
        self._files_s = 0.0
        self._handing_over = True
        self._handed_to = self._standing.tail.synced


def _marks(path: Path) -> list[Mark]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Mark])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []  # none was taken yet


def poll(fds: list[int], timeout_s: float, writes: int | None = None) -> list[int]:
    waiting = select.poll()
    for fd in fds:
        waiting.register(fd, select.POLLIN | (select.POLLOUT if fd == writes else 0))
    return [fd for fd, _ in waiting.poll(timeout_s * 1000)]
