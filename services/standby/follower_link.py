"""The standby's end of the link: follows the owner's log, acknowledges what is on its disk, knows when it was heard.

Always holds:
- An acknowledgement says what is on this host's disk, never more. It promises not to take over for the lease from then
  on; `promised_until_ns` is the last promise, by this host's clock since boot.
- A link that breaks is made anew, from where the copy ends. A copy that differs from its owner's is never connected
  again: the owner is told, and `Diverged` is raised.
"""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from services.standby import messages
from services.standby.copy_of_owner import CopyOfOwner, Diverged
from services.standby.files import held, receive
from services.standby.frames import Frame, Framer, LinkBroken
from services.standby.messages import (
    Ack,
    Beat,
    Challenge,
    FilePart,
    Hello,
    Kind,
    Marks,
    Welcome,
    is_signed,
    pack,
    signature,
    unpack,
)
from shared_mem import lease

_log: Final = logging.getLogger("tradewind.standby")

CONNECT_S: Final = 1.0
# The owner may have to read a snapshot of gigabytes before it answers.
HANDSHAKE_S: Final = 30.0
# An owner beats ten times a second; a link that is silent for longer than this is dead.
SILENT_S: Final = 3.0
RETRY_S: Final = 0.2
# How often it looks, while nothing comes, whether something else is to be done.
LOOK_S: Final = 0.02
RECEIVE_BYTES: Final = 1 << 20


class Who(NamedTuple):
    """This standby, and its owner's address."""

    host: str
    shard: int
    key: bytes
    owner_host: str
    owner_port: int


class FollowerLink:
    """Turned by `follow`. `between` is called in each turn: it may raise to end the following."""

    def __init__(self, who: Who, copy: CopyOfOwner, between: Callable[[], None]) -> None:
        self._who = who
        self.copy = copy
        self._between = between
        self.heard_ns = lease.boot_ns()  # of the owner, or since this process looks for it
        self.promised_until_ns = 0
        self.is_connected = False
        self.was_handed_over = False
        self.hand_over_asked = False
        self._lease_ms = 0
        self._parts = 0
        self._beat_ns = 0

    def follow(self) -> None:
        """For as long as `between` lets it, or until the owner handed over. Raises Diverged, LinkRefused, LogError."""
        while not self.was_handed_over:
            try:
                with socket.create_connection(
                    (self._who.owner_host, self._who.owner_port), CONNECT_S
                ) as connection:
                    self._one_connection(connection)
            except (LinkBroken, OSError) as error:
                if self.is_connected:
                    _log.warning("the link to the owner: %s", str(error) or type(error).__name__)
            finally:
                self.is_connected = False
            self._pause(RETRY_S)

    def _pause(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s and not self.was_handed_over:
            self._between()
            time.sleep(LOOK_S)

    # -- one connection --------------------------------------------------------------------------------------

    def _one_connection(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        framer = Framer()
        self._introduce(connection, framer)
        self.is_connected = True
        self._parts = 0
        connection.settimeout(LOOK_S)
        try:
            while not self.was_handed_over:
                self._between()
                self._ask_for_the_shard(connection)
                self._turn(connection, framer)
        except Diverged as error:
            connection.settimeout(CONNECT_S)
            connection.sendall(pack(Kind.ACK, Ack(self.copy.synced, self._parts, 0, str(error))))
            raise

    def _introduce(self, connection: socket.socket, framer: Framer) -> None:
        who, copy = self._who, self.copy
        connection.settimeout(HANDSHAKE_S)
        challenge = unpack(_frame(connection, framer), Kind.CHALLENGE, Challenge)
        end = copy.end()
        nonce = secrets.token_bytes(messages.NONCE_BYTES)
        hello = Hello(
            messages.LINK_VERSION,
            who.host,
            nonce,
            who.shard,
            copy.log_id,
            copy.segment_bytes,
            end.position,
            end.proven,
            end.crc,
            held(copy.data_dir),
        )
        signed = msgspec.structs.replace(hello, signature=signature(who.key, challenge.nonce, hello))
        connection.sendall(pack(Kind.HELLO, signed))
        welcome = unpack(_frame(connection, framer), Kind.WELCOME, Welcome)
        if not is_signed(who.key, nonce, welcome):
            raise LinkBroken("whoever answers there has not our key")
        self._lease_ms = welcome.lease_ms
        self.heard_ns = lease.boot_ns()
        if welcome.is_new:
            _log.info("a new copy of log %d, from position %d", welcome.log_id, welcome.start)
            if welcome.start:
                self._take_snapshot(connection, framer)
            copy.adopt(welcome.log_id, welcome.segment_bytes, welcome.start)

    def _take_snapshot(self, connection: socket.socket, framer: Framer) -> None:
        """Whole, before anything of the old copy is given up."""
        fresh = self.copy.snapshot_path.with_suffix(".coming")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            while True:
                part = unpack(_frame(connection, framer), Kind.FILE, FilePart)
                if part.name != messages.SNAPSHOT_NAME or part.offset != file.tell():
                    raise LinkBroken(f"{part.name!r} at {part.offset} came where the snapshot is due")
                file.write(part.data)
                if not part.data:
                    break
        fresh.replace(self.copy.snapshot_path)

    def _ask_for_the_shard(self, connection: socket.socket) -> None:
        if self.hand_over_asked:
            self.hand_over_asked = False
            connection.sendall(pack(Kind.HAND_OVER, Beat(0, 0)))

    def _turn(self, connection: socket.socket, framer: Framer) -> None:
        """What has come, onto the disk, into the replica; one acknowledgement for all of it."""
        try:
            data = connection.recv(RECEIVE_BYTES)
        except TimeoutError:
            if lease.boot_ns() - self.heard_ns > SILENT_S * 1e9:
                raise LinkBroken(f"nothing was heard of the owner for {SILENT_S:.0f} s") from None
            return
        if not data:
            raise LinkBroken("the owner closed the link")
        framer.feed(data)
        came = False
        while (frame := framer.next_frame()) is not None:
            came = True
            self._take(frame)
        if not came:
            return
        self.heard_ns = lease.boot_ns()
        self.copy.sync()
        self._acknowledge(connection)
        self.copy.apply()
        self.copy.keep()

    def _acknowledge(self, connection: socket.socket) -> None:
        # First the promise, then the word of it: the owner counts from its beat, which is older than this.
        self.promised_until_ns = lease.boot_ns() + self._lease_ms * 1_000_000
        connection.settimeout(CONNECT_S)
        connection.sendall(pack(Kind.ACK, Ack(self.copy.synced, self._parts, self._beat_ns)))
        connection.settimeout(LOOK_S)

    def _take(self, frame: Frame) -> None:
        if frame.kind == Kind.LOG:
            position = int.from_bytes(frame.body[: messages.POSITION_BYTES], "little")
            raw = frame.body[messages.POSITION_BYTES :]
            self.copy.take(position, raw, bool(frame.flags & messages.IS_WHOLE))
        elif frame.kind == Kind.FILE:
            receive(self.copy.data_dir, unpack(frame, Kind.FILE, FilePart))
            self._parts += 1
        elif frame.kind == Kind.MARKS:
            self.copy.marks_came(unpack(frame, Kind.MARKS, Marks))
        elif frame.kind == Kind.HANDED_OVER:
            unpack(frame, Kind.HANDED_OVER, Beat)
            self.was_handed_over = True
        else:
            self._beat_ns = unpack(frame, Kind.BEAT, Beat).sent_ns


def _frame(connection: socket.socket, framer: Framer) -> Frame:
    """The next frame. Raises LinkBroken, TimeoutError."""
    while (frame := framer.next_frame()) is None:
        data = connection.recv(RECEIVE_BYTES)
        if not data:
            raise LinkBroken("the owner closed the link")
        framer.feed(data)
    return frame
