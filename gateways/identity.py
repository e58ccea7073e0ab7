"""Who is asking: API keys, each for one account.

The file (`credentials.json`, mode 0600) holds a SHA-256 of every secret: they are 256 random bits, so a slow
hash would protect nothing and cost each order its latency. Only the demo's secret stands there as text,
because the page on the same machine shows it to whoever owns the file anyway.
Must not do: trade, or know HTTP beyond the text of its headers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from gateways import drop_copy_keys
from gateways.drop_copy_keys import DropCopyKey
from gateways.fix_rules import FixRules

DEMO_ACCOUNT: Final = "TW000001"

# More keys than accounts of one machine's desk; beyond it the file is not the right store.
CREDENTIALS_MAX: Final = 100_000

_NO_SUCH_KEY: Final = hashlib.sha256(b"no such key").hexdigest()


class IdentityError(ValueError):
    """A credentials file that can't be used. The text names the file and what is wrong with it."""


class Credential(msgspec.Struct, frozen=True):
    key_id: str
    secret_sha256: str
    account: str  # the account's number as text: TW000001
    fix: FixRules = FixRules()


class DemoKey(msgspec.Struct, frozen=True):
    key_id: str
    secret_key: str
    account: str = DEMO_ACCOUNT


class _File(msgspec.Struct):
    credentials: list[Credential]
    demo: DemoKey | None = None
    drop_copy: list[DropCopyKey] = []


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Credentials:
    """The keys of one `credentials.json`. `authenticate` takes constant time in the secret."""

    def __init__(
        self,
        credentials: list[Credential],
        demo: DemoKey | None = None,
        drop_copies: list[DropCopyKey] | None = None,
    ) -> None:
        self._by_key_id = {credential.key_id: credential for credential in credentials}
        self.demo = demo
        self.drop_copies = drop_copies or []

    @classmethod
    def load(cls, path: Path) -> Credentials:
        """Raises IdentityError when the file is missing, readable by others, or does not hold credentials."""
        try:
            mode = path.stat().st_mode & 0o777
            raw = path.read_bytes()
        except OSError as error:
            raise IdentityError(
                f"credentials {path}: {error.strerror}; `tradewind up` makes a demo file"
            ) from None
        if mode & 0o077:
            raise IdentityError(f"credentials {path} have mode {mode:o}; others could read them: chmod 600")
        try:
            content = msgspec.json.decode(raw, type=_File)
            drop_copy_keys.check(content.drop_copy)
        except (msgspec.MsgspecError, ValueError) as error:
            raise IdentityError(f"credentials {path} can't be read: {error}") from None
        if len(content.credentials) > CREDENTIALS_MAX:
            raise IdentityError(
                f"credentials {path} hold {len(content.credentials)}; the most is {CREDENTIALS_MAX}"
            )
        return cls(content.credentials, content.demo, content.drop_copy)

    @classmethod
    def create_demo(cls, path: Path) -> Credentials:
        """The demo's key for account TW000001: made at random the first time, kept from then on."""
        if path.exists():
            return cls.load(path)
        demo = DemoKey(key_id="TWDEMO" + secrets.token_hex(7).upper(), secret_key=secrets.token_urlsafe(32))
        owner = Credential(demo.key_id, _sha256(demo.secret_key), demo.account)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = path.with_suffix(".new")
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(_File([owner], demo))))
        written.replace(path)  # whole or not at all, should two starts race
        return cls([owner], demo)

    def authenticate(self, key_id: str, secret: str) -> str | None:
        """The number (text) of the account that this key speaks for, or None."""
        known = self._by_key_id.get(key_id)
        expected = known.secret_sha256 if known is not None else _NO_SUCH_KEY
        matches = hmac.compare_digest(_sha256(secret), expected)
        return known.account if known is not None and matches else None

    def drop_copy(self, key_id: str, secret: str) -> DropCopyKey | None:
        """The key of the drop-copy door that this is, or None."""
        known = next((key for key in self.drop_copies if key.key_id == key_id), None)
        expected = known.secret_sha256 if known is not None else _NO_SUCH_KEY
        return known if hmac.compare_digest(_sha256(secret), expected) else None

    def fix_rules(self, key_id: str) -> FixRules:
        known = self._by_key_id.get(key_id)
        return FixRules() if known is None else known.fix


class Identity:
    """Credentials, and the number inside the shard of the account that each is for."""

    def __init__(self, credentials: Credentials, account_number: Callable[[str], int | None]) -> None:
        self._credentials = credentials
        self._account_number = account_number
        self._numbers: dict[str, int] = {}  # bounded by the credentials; an account's number never changes

    @property
    def demo(self) -> DemoKey | None:
        return self._credentials.demo

    def account(self, key_id: str, secret: str) -> int | None:
        """The account's number, or None: a wrong key, or an account that was not opened (yet)."""
        text = self._credentials.authenticate(key_id, secret)
        if text is None:
            return None
        number = self._numbers.get(text)
        if number is None:
            number = self._account_number(text)
            if number is not None:
                self._numbers[text] = number
        return number

    def fix_rules(self, key_id: str) -> FixRules:
        """What a FIX session of this key may do."""
        return self._credentials.fix_rules(key_id)

    def account_of_headers(self, headers: Mapping[str, str]) -> int | None:
        """From APCA-API-KEY-ID and APCA-API-SECRET-KEY, or HTTP Basic."""
        key_id, secret = headers.get("apca-api-key-id"), headers.get("apca-api-secret-key")
        if key_id is None or secret is None:
            pair = _basic(headers.get("authorization", ""))
            if pair is None:
                return None
            key_id, secret = pair
        return self.account(key_id, secret)


def _basic(header: str) -> tuple[str, str] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        key_id, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (key_id, secret) if colon else None
