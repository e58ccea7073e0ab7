"""The owner's door for a standby: lets in one that belongs here, and refuses the others.

Always holds:
- One standby at a time. One that is of another shard, another log or another history of this log is refused, with the
  reason.

What goes over the link is `owner_link.py`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from pathlib import Path
from typing import Final

import msgspec

from actors.snapshot import SnapshotError, read_file
from services.standby import messages
from services.standby.files import PART_BYTES_MAX
from services.standby.frames import Framer, LinkBroken
from services.standby.messages import (
    Challenge,
    FilePart,
    Hello,
    Kind,
    LinkRefused,
    Refused,
    Welcome,
    is_signed,
    pack,
    signature,
    unpack,
)
from services.standby.owner_link import RECEIVE_BYTES, Link, Places, poll
from services.standby.standing import LinkStatus, Standing
from shared_mem.bell import open_fifo
from shared_mem.log import LogError, Reader
from shared_mem.log_copy import end_of
from shared_mem.log_reader import first_kept

_log: Final = logging.getLogger("tradewind.replicator")

HANDSHAKE_S: Final = 5.0
# How often it looks, with no link, whether the standby has been away for too long.
IDLE_S: Final = 0.05


class Replicator:
    """Serves one standby after another until `stop` (a descriptor) can be read or the shard was handed over."""

    def __init__(
        self,
        standing: Standing,
        places: Places,
        listener: socket.socket,
        stop: int,
    ) -> None:
        self._standing = standing
        self._terms = standing.terms
        self._tail = standing.tail
        self._places = places
        self._listener = listener
        self._stop = stop

    def run(self) -> None:
        """Raises LogError, OSError."""
        self._listener.settimeout(0)
        while True:
            self._standing.look_whether_away()
            ready = poll([self._listener.fileno(), self._stop], IDLE_S)
            if self._stop in ready:
                return
            if not ready:
                continue
            try:
                connection, _ = self._listener.accept()
            except OSError:
                continue  # it was gone again
            with connection:
                if self._serve(connection):
                    return

    # -- one standby -----------------------------------------------------------------------------------------

    def _serve(self, connection: socket.socket) -> bool:
        """One connection to its end; True to stop."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            hello = self._introduced(connection)
            try:
                welcome, begins_with_snapshot = self._welcome(hello)
            except LinkRefused as refused:
                _log.error("standby %s is refused: %s", hello.host, refused)
                self._standing.say(LinkStatus("refused", hello.host, hello.position, 0, str(refused)))
                connection.sendall(pack(Kind.REFUSED, Refused(str(refused))))
                return False
            connection.sendall(pack(Kind.WELCOME, welcome))
            if begins_with_snapshot:
                self._send_snapshot(connection)
            _log.info("standby %s follows from position %d", hello.host, welcome.start)
            return Link(self._standing, self._places, connection, hello, welcome).run(self._stop)
        except (LinkBroken, OSError) as error:
            _log.warning("the link to the standby: %s", str(error) or type(error).__name__)
            return False

    def _introduced(self, connection: socket.socket) -> Hello:
        """The standby's Hello, of one that has the key. Raises LinkBroken, OSError."""
        connection.settimeout(HANDSHAKE_S)
        nonce = secrets.token_bytes(messages.NONCE_BYTES)
        connection.sendall(pack(Kind.CHALLENGE, Challenge(messages.LINK_VERSION, nonce)))
        framer = Framer()
        while (frame := framer.next_frame()) is None:
            data = connection.recv(RECEIVE_BYTES)
            if not data:
                raise LinkBroken("closed before it said who it is")
            framer.feed(data)
        hello = unpack(frame, Kind.HELLO, Hello)
        if not is_signed(self._terms.key, nonce, hello):
            raise LinkBroken("somebody without the key; both hosts need the same --standby-key")
        return hello

    def _welcome(self, hello: Hello) -> tuple[Welcome, bool]:
        """From where the log goes to this standby, and whether a snapshot goes before it. Raises LinkRefused."""
        terms, tail = self._terms, self._tail
        if hello.version != messages.LINK_VERSION:
            raise LinkRefused(
                f"it speaks version {hello.version} of the link, this owner {messages.LINK_VERSION}"
            )
        if hello.shard != terms.shard:
            raise LinkRefused(f"it is of shard {hello.shard}, this owner of shard {terms.shard}")
        start, is_new = hello.position, False
        kept = first_kept(self._places.log_dir, tail.segment_bytes).position
        if hello.log_id and (hello.log_id, hello.segment_bytes) != (tail.log_id, tail.segment_bytes):
            raise LinkRefused(
                f"its copy is of log {hello.log_id} in segments of {hello.segment_bytes} bytes, this log is "
                f"{tail.log_id} in {tail.segment_bytes}; give the standby an empty data folder"
            )
        if hello.log_id and hello.position >= kept:
            self._check_history(hello)
        elif hello.log_id or kept:  # a new one, or one further behind than the log is kept
            start, is_new = self._segment_of_snapshot(), True
        else:
            is_new = True
        unsigned = Welcome(tail.log_id, tail.segment_bytes, start, is_new, terms.lease_ms)
        signed = msgspec.structs.replace(unsigned, signature=signature(terms.key, hello.nonce, unsigned))
        return signed, is_new and start > 0

    def _check_history(self, hello: Hello) -> None:
        if hello.position > self._tail.synced:
            raise LinkRefused(
                f"its copy ends at position {hello.position}, this log at {self._tail.synced}: it has what "
                "this log has lost, or another owner wrote. If it was acknowledged there, let the standby take over"
            )
        try:
            ours = end_of(self._places.log_dir, self._tail.segment_bytes, hello.position)
        except LogError as error:
            raise LinkRefused(str(error)) from None
        if ours.proven == hello.proven and ours.crc != hello.crc:
            raise LinkRefused(
                f"its last {hello.proven} bytes before position {hello.position} are not this log's: their histories "
                "parted. Give the standby an empty data folder"
            )

    def _segment_of_snapshot(self) -> int:
        """Where the segment begins in which the newest snapshot goes on."""
        try:
            snapshot = read_file(self._places.snapshot)
        except SnapshotError as error:
            raise LinkRefused(str(error)) from None
        if snapshot is None:
            raise LinkRefused(
                f"the log is not kept from its beginning, and {self._places.snapshot} is not there"
            )
        return snapshot.log_position - snapshot.log_position % self._tail.segment_bytes

    def _send_snapshot(self, connection: socket.socket) -> None:
        """The newest one, which may be newer than the one that was looked at: its log is there all the more."""
        with self._places.snapshot.open("rb") as file:
            offset = 0
            while True:
                data = file.read(PART_BYTES_MAX)
                connection.sendall(pack(Kind.FILE, FilePart(messages.SNAPSHOT_NAME, offset, data)))
                if not data:
                    return  # an empty part ends it
                offset += len(data)


def listen(host: str, port: int) -> socket.socket:
    """Raises OSError."""
    return socket.create_server((host, port), backlog=4)


def wake_fd(run_dir: Path) -> int:
    """Writing a byte to it makes the replicator look for new files at once."""
    return open_fifo(run_dir / f"bell.reader.{int(Reader.STANDBY)}")


def ask_to_ship(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):  # it has more to look at than it can take
        os.write(fd, b"\0")
