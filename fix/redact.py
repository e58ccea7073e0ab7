"""Raw messages fit to be logged or shown: what is secret in them is not there any more.

    log.warning("%s sent: %s", peer, readable(raw))

Secret are passwords (554, 925, 1402, 1404) and RawData (96), where venues take signatures and passwords. Any bytes
are taken, damaged messages and no messages too.

Always holds: nothing that may belong to a secret is left. Where a data field's length and its bytes disagree, all
up to the first SOH behind both is taken for its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fix.codec import HIDDEN, SECRET_TAGS, SOH, printable
from fix.data_fields import DATA_FIELDS

_SECRETS: Final = frozenset(str(tag).encode() for tag in SECRET_TAGS)
_DATA: Final = {str(length).encode(): str(data).encode() for length, data in DATA_FIELDS.items()}
_LENGTH_DIGITS_MAX: Final = 9


def fields_of_any(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(tag, value) of whatever stands between SOH; a run without '=' is a tag without a value. Never raises."""
    at = 0
    data_tag, length = b"", 0
    while at < len(raw):
        end = raw.find(SOH, at)
        end = len(raw) if end < 0 else end
        tag, equals, value = raw[at:end].partition(b"=")
        if equals and tag == data_tag:
            begin = at + len(tag) + 1
            end = raw.find(SOH, max(end, begin + length))
            end = len(raw) if end < 0 else end
            value = raw[begin:end]
        yield tag, value
        data_tag = _DATA.get(tag, b"")
        good = value.isdigit() and len(value) <= _LENGTH_DIGITS_MAX
        length = int(value) if data_tag and good else 0
        at = end + 1


def redact(raw: bytes) -> bytes:
    """`raw` with *** for each secret; all else byte for byte, its BodyLength and CheckSum too."""
    if not any(tag + b"=" in raw for tag in _SECRETS):
        return raw
    parts = []
    for tag, value in fields_of_any(raw):
        hidden = HIDDEN.encode() if tag.strip() in _SECRETS else value
        parts.append(tag + b"=" + hidden if value else tag)
    return SOH.join(parts) + (SOH if raw.endswith(SOH) else b"")


def readable(raw: bytes) -> str:
    """One line for a log: no secrets, '|' for SOH, and no byte that a terminal would obey."""
    return printable(redact(raw).replace(SOH, b"|").decode("latin-1"))
