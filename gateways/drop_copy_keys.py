"""Keys of the drop-copy door: who may listen, on which session, to which accounts.

They stand in credentials.json in a section of their own, so that no such key can trade, and no other can listen:

    "drop_copy": [{"comp_id": "COMPLIANCE", "key_id": "…", "secret_sha256": "…", "accounts": ["TW000001"]},
                  {"comp_id": "AUDIT", "key_id": "…", "secret_sha256": "…", "accounts": "all"}]
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

# A session each, with a store and a reader of the log: file descriptors, and a share of one process's time.
KEYS_MAX: Final = 64
# A session's own list; one that needs more listens to all.
ACCOUNTS_MAX: Final = 10_000
ALL: Final = "all"
# As fix/acceptor.py has them: a CompID becomes the name of a folder.
_COMP_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class DropCopyKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key and its session. `accounts`: numbers as people know them, or "all", those opened later too.

    Raises ValueError, which msgspec turns into a ValidationError that names the place.
    """

    comp_id: str
    key_id: str
    secret_sha256: str
    accounts: str | list[str]

    def __post_init__(self) -> None:
        if _COMP_ID.fullmatch(self.comp_id) is None:
            raise ValueError(
                f"comp_id {self.comp_id[:80]!r} is no CompID: use letters, digits, '_', '.' and '-', at most 64"
            )
        if _SHA256.fullmatch(self.secret_sha256) is None:
            raise ValueError(
                f"secret_sha256 of {self.comp_id} is no SHA-256; give the 64 hex digits of the secret's"
            )
        if isinstance(self.accounts, str):
            if self.accounts != ALL:
                raise ValueError(
                    f'accounts {self.accounts[:40]!r} of {self.comp_id}: give a list of account numbers, or "all"'
                )
        elif not 0 < len(self.accounts) <= ACCOUNTS_MAX:
            raise ValueError(
                f'accounts of {self.comp_id} are {len(self.accounts)}; name 1 to {ACCOUNTS_MAX}, or give "all"'
            )
        elif not all(self.accounts):
            raise ValueError(f'accounts of {self.comp_id} have an empty number; take it out, or give "all"')

    def has(self, account: str) -> bool:
        return self.accounts == ALL or account in self.accounts


def check(keys: list[DropCopyKey]) -> None:
    """What must hold of all of them together. Raises ValueError."""
    if len(keys) > KEYS_MAX:
        raise ValueError(f"drop_copy has {len(keys)} keys; the most is {KEYS_MAX}")
    for name in ("comp_id", "key_id"):
        values = [getattr(key, name) for key in keys]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ValueError(
                f"drop_copy has {name} {twice!r} twice; a session has one key, a key one session"
            )
