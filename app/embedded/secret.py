"""The one password of a data folder's servers. Loopback is shared by every user of a machine, so the servers
ask for it; it is made once, readable by its owner alone, and reaches the roles inside the three urls.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

SECRET_BYTES: Final = 24  # 192 bits: beyond guessing, and short enough for a url
# A folder that no stack has been started in has no password, and nothing that would ask for one.
NO_SECRET: Final = "not-made-yet"


def secret_path(data_dir: Path) -> Path:
    return data_dir / "servers.secret"


def read_secret(data_dir: Path) -> str:
    """The password of `data_dir`'s servers, or NO_SECRET."""
    try:
        return secret_path(data_dir).read_text("ascii").strip() or NO_SECRET
    except (FileNotFoundError, NotADirectoryError):
        return NO_SECRET


def ensure_secret(data_dir: Path) -> str:
    """Makes the password on the first start; never changes one that is there."""
    path = secret_path(data_dir)
    if read_secret(data_dir) == NO_SECRET:
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(SECRET_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    return read_secret(data_dir)
