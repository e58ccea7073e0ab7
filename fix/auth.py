"""What a Logon says to prove who sends it: the profile's scheme applied to the desk's secrets.

    sign = logon_signer(profile, "EXAMPLE", "SPOT", Secrets(username="key id", key=pem))
    SessionConfig(..., sign=sign)               # the session calls it with each Logon's 34 and 52

Always holds here: secrets are arguments; nothing keeps them but the function that is returned, nothing logs
them, and no error shows more of one than its length. What is signed is what is sent: the values come from the
same fields.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fix.codec import Field
from fix.profiles.profile import Auth, Profile
from fix.tags import MsgType, Tag

_HASHES: Final = {"hmac-sha256": hashlib.sha256, "hmac-sha512": hashlib.sha512}

# The fields of a Logon that depend on its MsgSeqNum (34) and SendingTime (52).
LogonSigner = Callable[[int, str], tuple[Field, ...]]
_Sign = Callable[[bytes], bytes]


class SecretsError(ValueError):
    """Secrets that don't fit the profile. Names what is missing or malformed, never its content."""


class Secrets:
    """A desk's credentials at one venue: `username` (553, a key's id), `password` (554), `key` (what signs: the
    text or base64 of an HMAC's key, or the PEM of an Ed25519 private key). Shows nothing of them."""

    __slots__ = ("key", "password", "username")

    def __init__(self, username: str = "", password: str = "", key: str = "") -> None:
        self.username = username
        self.password = password
        self.key = key

    def __repr__(self) -> str:
        given = [name for name in self.__slots__ if getattr(self, name)]
        return f"Secrets({', '.join(given) or 'none'})"


def logon_signer(profile: Profile, sender: str, target: str, secrets: Secrets) -> LogonSigner | None:
    """What authenticates each Logon of this session; None where the venue asks for nothing. Raises
    SecretsError."""
    auth = profile.auth
    if auth.scheme == "none":
        return None
    plain = _plain_fields(profile, secrets)
    sign = _signer(auth, secrets.key, profile.name)

    def fields(seq: int, sending_time: str) -> tuple[Field, ...]:
        if sign is None:
            return plain
        values = {
            **dict(plain),
            int(Tag.MsgType): str(MsgType.Logon),
            int(Tag.MsgSeqNum): str(seq),
            int(Tag.SenderCompID): sender,
            int(Tag.SendingTime): sending_time,
            int(Tag.TargetCompID): target,
        }
        payload = auth.separator.join(values[tag] for tag in auth.payload)
        signature = _encoded(sign(payload.encode("latin-1")), auth)
        length = ((auth.length_tag, str(len(signature))),) if auth.length_tag else ()
        return (*length, (auth.signature_tag, signature), *plain)

    unknown = set(auth.payload) - {35, 34, 49, 52, 56} - {tag for tag, _ in plain}
    if unknown:
        raise SecretsError(
            f"{profile.name}: auth.payload names tag {min(unknown)}, which the Logon does not have"
        )
    return fields


def _plain_fields(profile: Profile, secrets: Secrets) -> tuple[Field, ...]:
    fields: list[Field] = []
    for tag, value, what in (
        (profile.auth.username_tag, secrets.username, "username"),
        (profile.auth.password_tag, secrets.password, "password"),
    ):
        if tag:
            if not value or "\x01" in value or not value.isascii():
                raise SecretsError(
                    f"{profile.name} needs a {what} (tag {tag}) of ASCII characters without SOH"
                )
            fields.append((tag, value))
    return tuple(fields)


def _signer(auth: Auth, key: str, name: str) -> _Sign | None:
    if auth.scheme == "plain":
        return None
    if not key:
        raise SecretsError(f"{name} signs its Logon by {auth.scheme}; give the key")
    if auth.scheme == "ed25519":
        return _ed25519_key(key, name).sign
    raw, digest = _hmac_key(auth, key, name), _HASHES[auth.scheme]
    return lambda payload: hmac.digest(raw, payload, digest)


def _ed25519_key(pem: str, name: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):  # no PEM, or one under a password; its text says what is in it
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SecretsError(f"{name}: the key ({len(pem)} characters) is no PEM of an Ed25519 private key")
    return key


def _hmac_key(auth: Auth, key: str, name: str) -> bytes:
    if auth.key_encoding == "text":
        return key.encode()
    try:
        return base64.b64decode(key, validate=True)
    except binascii.Error:
        raise SecretsError(f"{name}: the key ({len(key)} characters) is not base64") from None


def _encoded(signature: bytes, auth: Auth) -> str:
    return signature.hex() if auth.encoding == "hex" else base64.b64encode(signature).decode("ascii")
