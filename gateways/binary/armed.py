"""Which accounts' open orders are to be cancelled should their session not come back: kept over a kill -9 of the door.

Always holds: a file is there from before the session's first request is taken until its orders were asked to be
cancelled, or need not be. So a door that was killed finds in its next life who was on.
"""

from __future__ import annotations

import os
from pathlib import Path


class ArmedAccounts:
    """A file each, named by the account's number, with the grace in ms. `sync`: on disk before it counts, for a
    desk whose effects wait for the disk."""

    def __init__(self, folder: Path, sync: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._sync = sync
        self._graces = {
            int(path.name): int(path.read_text() or 0) for path in folder.iterdir() if path.name.isdecimal()
        }

    def graces_ms(self) -> dict[int, int]:
        """By account."""
        return dict(self._graces)

    def grace_ms(self, account: int) -> int | None:
        """None: it is not armed."""
        return self._graces.get(account)

    def arm(self, account: int, grace_ms: int) -> None:
        """Raises OSError."""
        if self._graces.get(account) == grace_ms:
            return
        fresh = self._folder / f"{account}.new"
        with fresh.open("w") as file:
            file.write(str(grace_ms))
            file.flush()
            if self._sync:
                os.fsync(file.fileno())
        fresh.replace(self._folder / str(account))  # whole or not at all
        self._sync_folder()
        self._graces[account] = grace_ms

    def disarm(self, account: int) -> None:
        """Raises OSError."""
        if self._graces.pop(account, None) is not None:
            (self._folder / str(account)).unlink(missing_ok=True)
            self._sync_folder()

    def _sync_folder(self) -> None:
        if not self._sync:
            return
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
