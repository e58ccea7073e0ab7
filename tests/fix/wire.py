"""FIX as the tests write it: fields between '|', with BodyLength and CheckSum put right."""

from __future__ import annotations

from fix import timestamps
from fix.codec import Message, encode, parse

NOON_NS = timestamps.parse_ns("20261124-12:00:00.000")
SECOND_NS = 1_000_000_000


def fix(text: str, now_ns: int = NOON_NS) -> bytes:
    """The bytes of "35=D|34=2|...". <TIME> becomes the SendingTime of `now_ns`."""
    fields = []
    for part in text.replace("<TIME>", timestamps.format_ns(now_ns)).strip("|").split("|"):
        tag, _, value = part.partition("=")
        fields.append((int(tag), value))
    return encode("FIX.4.4", fields, empty_values=True)  # a peer may send what we would not


def from_peer(
    msg_type: str, seq: int, body: str = "", now_ns: int = NOON_NS, sender: str = "TW", target: str = "ISLD"
) -> bytes:
    """A message as the peer of these tests sends it."""
    header = f"35={msg_type}|34={seq}|49={sender}|52=<TIME>|56={target}"
    return fix(f"{header}|{body}" if body else header, now_ns)


def show(message: Message | bytes) -> str:
    """'35=0|34=3|112=TEST': without what is the same in every message (8, 9, 49, 52, 56, 10) and without 60,
    122."""
    message = parse(message) if isinstance(message, bytes) else message
    return "|".join(f"{t}={v}" for t, v in message.fields if t not in (8, 9, 49, 52, 56, 10, 60, 122))
