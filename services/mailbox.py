"""The embedded mail server: takes mails by SMTP and keeps them in a Maildir, for a desk that has no server
yet.

What always holds: a mail that was answered 250 is on disk, whole (synced, then renamed into `new/`); a
Message-ID that is there is not kept twice, also over restarts: its hash is in the file's name. When the
mailbox is full the oldest mails go, read or not. It listens on the loopback alone and passes nothing on.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from email.parser import BytesHeaderParser
from email.policy import default as default_policy
from pathlib import Path
from typing import Final

from aiosmtpd.smtp import SMTP, Envelope, Session

HOST: Final = "127.0.0.1"
# Our mails have one kilobyte; a person's test mail with a picture still fits.
MESSAGE_BYTES_MAX: Final = 1024**2
# What a person may still look through. Folders with more files get slow in mail programs.
MESSAGES_MAX: Final = 10_000

_HEADERS: Final = BytesHeaderParser(policy=default_policy)


class Maildir:
    """A Maildir (https://cr.yp.to/proto/maildir.html) at `path`, of at most `messages_max` mails."""

    def __init__(self, path: Path, messages_max: int = MESSAGES_MAX) -> None:
        self._path = path
        self._messages_max = messages_max
        for folder in ("tmp", "new", "cur"):
            (path / folder).mkdir(parents=True, exist_ok=True)
        for left_over in (path / "tmp").iterdir():
            left_over.unlink()
        # File name before its flags, by hash of Message-ID; oldest first, since names begin with the time.
        names = sorted(
            _unflagged(file.name) for folder in ("new", "cur") for file in (path / folder).iterdir()
        )
        self._names = {_hash_in(name): name for name in names}

    def __len__(self) -> int:
        return len(self._names)

    def add(self, content: bytes, received_ns: int) -> bool:
        """Keep a mail; False if one with its Message-ID is there. Without one, its content stands for it."""
        message_id = _HEADERS.parsebytes(content).get("Message-ID")
        digest = hashlib.sha256(str(message_id).strip().encode() if message_id else content).hexdigest()[:32]
        if digest in self._names:
            return False
        name = f"{received_ns:020d}.{digest}.tradewind"
        beside = self._path / "tmp" / name
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(self._path / "new" / name)
        _sync_folder(self._path / "new")
        self._names[digest] = name
        while len(self._names) > self._messages_max:
            self._remove(self._names.pop(next(iter(self._names))))
        return True

    def _remove(self, name: str) -> None:
        """A reader may have moved it to `cur/` and given it flags, or removed it."""
        (self._path / "new" / name).unlink(missing_ok=True)
        for seen in (self._path / "cur").glob(f"{name}*"):
            seen.unlink(missing_ok=True)


class _Handler:
    """What aiosmtpd calls; names are its."""

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes), "the server is made with decode_data=False"
        try:
            kept = self._maildir.add(envelope.content, time.time_ns())
        except OSError as error:  # a full disk, most of all: the sender keeps the mail and comes again
            return f"452 the mail could not be stored: {error.strerror}"
        return "250 stored" if kept else "250 had it already"


async def serve(maildir: Maildir, port: int) -> asyncio.Server:
    """The SMTP server, listening. Close it to stop."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: SMTP(
            _Handler(maildir),
            data_size_limit=MESSAGE_BYTES_MAX,
            hostname="tradewind",
            ident="Tradewind mailbox",
            decode_data=False,
            loop=loop,
        ),
        HOST,
        port,
    )


def _unflagged(name: str) -> str:
    """Mail programs add ':2,' and flags to a name when they move it to `cur/`."""
    return name.partition(":")[0]


def _hash_in(name: str) -> str:
    """The hash in a name of ours; another program's file stands for itself."""
    parts = name.split(".")
    return parts[1] if len(parts) == 3 else name


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
