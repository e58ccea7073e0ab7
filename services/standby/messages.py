"""What the two ends of the link say to each other, and how each knows the other: a key that both hosts have.

    owner    ── Challenge ──▶  standby      a fresh number
    owner    ◀──── Hello ────  standby      where its copy ends, the proof of it; signed with the owner's number
    owner    ── Welcome ────▶  standby      from where the log comes; signed with the standby's number. Or Refused
    owner    ── LOG, FILE, Marks, Beat ──▶  standby
    owner    ◀── Ack, Taken ── standby      what is on its disk; until when it will not take over

The key proves who speaks, and hides nothing: between machines the link runs through a tunnel (docs/standby.md).
"""

from __future__ import annotations

import hashlib
import hmac
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from actors.marks import Mark
from services.standby.frames import Frame, LinkBroken, encode

# Changes with any message; both hosts run one version.
LINK_VERSION: Final = 1
NONCE_BYTES: Final = 16
KEY_BYTES_MIN: Final = 16


class Kind(IntEnum):
    CHALLENGE = 1
    HELLO = 2
    WELCOME = 3
    REFUSED = 4
    LOG = 5  # position u8, then bytes of the log; flag IS_WHOLE: they end with a group
    FILE = 6
    MARKS = 7
    BEAT = 8
    ACK = 9
    HAND_OVER = 10
    HANDED_OVER = 11


IS_WHOLE: Final = 1
# The name under which the owner's newest snapshot goes to a standby that begins anew, in front of the log.
SNAPSHOT_NAME: Final = "snapshot"
POSITION_BYTES: Final = 8


class Challenge(msgspec.Struct, array_like=True, frozen=True):
    version: int
    nonce: bytes


class Hello(msgspec.Struct, array_like=True, frozen=True):
    """The standby. log_id 0: it has no copy yet."""

    version: int
    host: str
    nonce: bytes
    shard: int
    log_id: int
    segment_bytes: int
    position: int
    proven: int
    crc: int
    files: dict[str, tuple[int, int]]
    signature: bytes = b""


class Welcome(msgspec.Struct, array_like=True, frozen=True):
    """The owner. start: the first position that comes. is_new: the standby's copy begins anew there, from the snapshot
    that comes before it, if `start` is not 0. lease_ms: how long each Ack promises not to take over."""

    log_id: int
    segment_bytes: int
    start: int
    is_new: bool
    lease_ms: int
    signature: bytes = b""


class Refused(msgspec.Struct, array_like=True, frozen=True):
    text: str


class FilePart(msgspec.Struct, array_like=True, frozen=True):
    """Bytes of a file of the data folder at `offset`. replaces: the file is written anew as a whole. is_gone: it was
    removed."""

    name: str
    offset: int
    data: bytes
    replaces: bool = False
    is_gone: bool = False


class Marks(msgspec.Struct, array_like=True, frozen=True):
    marks: list[Mark]


class Beat(msgspec.Struct, array_like=True, frozen=True):
    """sent_ns: the owner's own clock, which an Ack gives back."""

    sent_ns: int
    synced: int


class Ack(msgspec.Struct, array_like=True, frozen=True):
    """The standby has the log up to `position`, and `files` parts of files, on its disk. beat_ns: the newest Beat."""

    position: int
    files: int
    beat_ns: int
    diverged: str = ""


M = TypeVar("M")


def pack(kind: Kind, message: Any) -> bytes:
    return encode(int(kind), msgspec.msgpack.encode(message))


def unpack(frame: Frame, kind: Kind, type_: type[M]) -> M:
    """Raises LinkBroken for another kind, with the other side's words if it refused."""
    if frame.kind == Kind.REFUSED and kind is not Kind.REFUSED:
        raise LinkRefused(unpack(frame, Kind.REFUSED, Refused).text)
    if frame.kind != kind:
        raise LinkBroken(f"a frame of kind {frame.kind} came where {kind.name} is due")
    try:
        return msgspec.msgpack.decode(frame.body, type=type_)
    except msgspec.MsgspecError as error:
        raise LinkBroken(f"{kind.name} cannot be read: {error}") from None


class LinkRefused(RuntimeError):
    """The other side will not have us. Trying again changes nothing; the text says what does."""


class LinkKeyError(ValueError):
    """The key file can't be used."""


def read_key(path: Path) -> bytes:
    """Raises LinkKeyError."""
    try:
        key = path.read_bytes().strip()
        mode = path.stat().st_mode
    except OSError as error:
        raise LinkKeyError(f"{path}: {error.strerror}; both hosts need the same key there") from None
    if len(key) < KEY_BYTES_MIN:
        raise LinkKeyError(f"{path} holds {len(key)} bytes; a key has {KEY_BYTES_MIN} or more")
    if mode & 0o077:
        raise LinkKeyError(f"{path} can be read by others; chmod 600 it")
    return key


def signature(key: bytes, nonce: bytes, message: Hello | Welcome) -> bytes:
    """Of a message as it is without its signature."""
    unsigned = msgspec.structs.replace(message, signature=b"")
    return hmac.digest(key, nonce + msgspec.msgpack.encode(unsigned), hashlib.sha256)


def is_signed(key: bytes, nonce: bytes, message: Hello | Welcome) -> bool:
    return hmac.compare_digest(message.signature, signature(key, nonce, message))
