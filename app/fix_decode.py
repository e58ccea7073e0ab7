"""`tradewind fix decode`: raw FIX out of a file, a log or a pipe, printed by field name and meaning.

A message may stand anywhere: behind a log's prefix, many on a line, over lines; with SOH, '|' or '^A' between its
fields. What is damaged is printed all the same, with what is wrong in it.

Always holds: secrets (fix/redact.py) are not printed unless asked for; no more than MESSAGE_BYTES_MAX is held.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, BinaryIO, Final, NamedTuple

from app.faults import StackError

SOH: Final = b"\x01"
# A longer one is no message that the engine would take (fix.codec.MESSAGE_BYTES_MAX).
HELD_BYTES_MAX: Final = 2 * 64 * 1024
READ_BYTES: Final = 64 * 1024
# "8=FIXT.1.1^A9=65536^A" and some room: so much of a beginning may be cut by the end of a read.
_BEGIN_BYTES_MAX: Final = 40

_BEGIN: Final = re.compile(rb"(?<![0-9])8=(FIXT?\.[0-9]\.[0-9])(\x01|\||\^A)9=([0-9]{1,6})\2")
_TRAILER: Final = re.compile(rb"10=[0-9]{3}")
_FIELD: Final = re.compile(rb"[1-9][0-9]{0,9}=")
_APPLICATION: Final = {"FIXT.1.1": "FIX.5.0SP2"}


class Found(NamedTuple):
    """One message, with SOH between its fields and behind the last, and what is wrong with it."""

    raw: bytes
    problems: list[str]


# -- finding messages ------------------------------------------------------------------------------------------


class Finder:
    """Cuts messages out of what it is fed; `last` says that no more comes."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes, last: bool = False) -> Iterator[Found]:
        self._held += data
        while (begin := _BEGIN.search(self._held)) is not None:
            end = self._end(begin, last)
            if end is None and len(self._held) - begin.start() < HELD_BYTES_MAX:
                del self._held[: begin.start()]
                return
            end = end or len(self._held)
            raw, separator = bytes(self._held[begin.start() : end]), bytes(begin[2])
            del self._held[:end]
            yield _found(raw, separator)
        del self._held[: max(0, len(self._held) - _BEGIN_BYTES_MAX)]

    def _end(self, begin: re.Match[bytes], last: bool) -> int | None:
        """Where the message ends: where its BodyLength says, if its CheckSum stands there; else behind the first
        CheckSum, or before the next message, or with the line. None: more may come."""
        held, separator = self._held, bytes(begin[2])
        by_length = begin.end() + int(begin[3])
        if len(separator) == 1:  # a '^A' is one byte in BodyLength and two here
            if (trailer := _TRAILER.match(held, by_length)) is not None:
                return _behind_separator(held, trailer.end(), separator)
            if len(held) < by_length + len(b"10=000") and not last:
                return None
        following = _BEGIN.search(held, begin.end())
        stop = following.start() if following is not None else len(held)
        by_trailer = re.compile(re.escape(separator) + rb"10=[0-9]{3}(?![0-9])").search(
            held, begin.end() - 1, stop
        )
        if by_trailer is not None:
            return _behind_separator(held, by_trailer.end(), separator)
        line = held.find(b"\n", begin.end(), stop)
        if line >= 0:
            return line
        return stop if following is not None or last else None


def _behind_separator(held: bytearray, end: int, separator: bytes) -> int:
    return end + len(separator) if held.startswith(separator, end) else end


def _found(raw: bytes, separator: bytes) -> Found:
    """The message with SOH for its separator. A piece that is no field belongs to the value before it: a Text
    with '|' in it, say."""
    parts: list[bytes] = []
    joint = separator if len(separator) == 1 else SOH  # as long as it was on the wire: BodyLength counted it
    for part in raw.rstrip(b"\r\n").removesuffix(separator).split(separator):
        if parts and not _FIELD.match(part):
            parts[-1] += joint + part
        else:
            parts.append(part)
    whole = SOH.join(parts) + SOH
    return Found(whole, list(_problems(whole)))


def _problems(raw: bytes) -> Iterator[str]:
    body = raw.index(SOH, raw.index(SOH) + 1) + 1
    trailer = raw.rfind(SOH + b"10=") + 1
    if trailer <= 0:
        yield "CheckSum (10) is missing: the message is cut"
        return
    length = raw[raw.index(SOH) + len(b"\x019=") : body - 1].decode("latin-1")
    if length != str(trailer - body):
        yield f"BodyLength (9) is {length}, it should be {trailer - body}"
    said, total = raw[trailer + 3 : -1].decode("latin-1"), sum(raw[:trailer]) & 255
    if said != f"{total:03d}":
        yield f"CheckSum (10) is {said}, it should be {total:03d}"


# -- naming its fields -----------------------------------------------------------------------------------------


class Field(NamedTuple):
    tag: int
    name: str
    value: str
    meaning: str


@cache
def _dictionary(begin_string: str) -> Any:
    from fix import dictionary

    version = _APPLICATION.get(begin_string, begin_string)
    return dictionary.load(version) if version in dictionary.VERSIONS else None


def named(raw: bytes, secrets: bool = False) -> list[Field]:
    """The fields of a message in their order; an unknown tag has no name."""
    from fix.codec import HIDDEN, SECRET_TAGS
    from fix.redact import fields_of_any

    begin_string = raw[2 : raw.index(SOH)].decode("latin-1")
    known = _dictionary(begin_string)
    fields = []
    for number, data in fields_of_any(raw):
        tag = int(number) if number.isdigit() and len(number) <= 10 else 0
        value, meaning, name = data.decode("latin-1"), "", ""
        if known is not None and (spec := known.fields.get(tag)) is not None:
            name = spec.name
            meaning = " ".join(spec.values[word] for word in value.split(" ") if word in spec.values)
            if tag == 35 and (message := known.message(value)) is not None:
                meaning = message.name
        if tag in SECRET_TAGS and not secrets:
            value, meaning = HIDDEN, ""
        fields.append(Field(tag, name, value, meaning))
    return fields


def as_json(found: Found, fields: list[Field]) -> str:
    msg_type = next((field for field in fields if field.tag == 35), None)
    return json.dumps(
        {
            "type": msg_type.value if msg_type else "",
            "name": msg_type.meaning if msg_type else "",
            "problems": found.problems,
            "fields": [field._asdict() for field in fields],
        }
    )


def as_text(found: Found, fields: list[Field]) -> str:
    """A line with what it is, who sent it and when; then a line for each field."""
    from fix.codec import printable

    by_tag = {field.tag: field for field in reversed(fields)}
    empty = Field(0, "", "?", "")
    msg_type, sender, target, seq, sent = (by_tag.get(tag, empty) for tag in (35, 49, 56, 34, 52))
    title = f"{msg_type.meaning or 'message'} ({msg_type.value})"
    lines = [printable(f"{title}  {sender.value} -> {target.value}  number {seq.value}  {sent.value}")]
    width = max(len(field.name) for field in fields)
    for field in fields:
        line = f"  {field.tag:>6}  {field.name:<{width}}  {field.value}  {field.meaning}"
        lines.append(printable(line).rstrip())
    lines += [f"  ! {problem}" for problem in found.problems]
    return "\n".join(lines) + "\n"


# -- the command -----------------------------------------------------------------------------------------------


def add_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="where the messages are (default: stdin)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line for each message")
    parser.add_argument(
        "--secrets", action="store_true", help="print passwords and signatures too (554, 925, 96, 1402, 1404)"
    )


def act(words: argparse.Namespace) -> int:
    if words.file is None:
        return _decode(sys.stdin.buffer, words)
    try:
        with open(words.file, "rb") as source:
            return _decode(source, words)
    except OSError as error:
        raise StackError(f"{words.file}: {error.strerror}") from error


def _decode(source: BinaryIO, words: argparse.Namespace) -> int:
    """Prints each message once it is whole, so that what follows a log can be piped in."""
    show = as_json if words.json else as_text
    count = 0
    for found in _messages(source):
        print(show(found, named(found.raw, words.secrets)), flush=True)
        count += 1
    if count == 0:
        raise StackError(
            "no FIX message in what was read; one begins with 8=FIX and has SOH, | or ^A between fields"
        )
    return 0


def _messages(source: BinaryIO) -> Iterator[Found]:
    finder = Finder()
    read = getattr(source, "read1", source.read)
    while data := read(READ_BYTES):
        yield from finder.feed(data)
    yield from finder.feed(b"", last=True)
