"""Which records of the log a person asked for: by account, order, kind and time.

Always holds: a word that can't be meant is a LogWordError that names it and the remedy, before anything is read.
An account's name is known from the event that opened it, so it is found wherever the log still has that event.
"""

from __future__ import annotations

import argparse
import difflib
from datetime import UTC, datetime
from typing import Any, Final

from app.faults import StackError
from core import events
from core.records import CommandKind, EventKind
from shared_mem.log_reader import Record

KINDS: Final = {int(kind): kind.name.lower() for kind in (*CommandKind, *EventKind)}
# seq and order ids are int64.
NUMBER_MAX: Final = (1 << 63) - 1


class LogWordError(StackError):
    """A word on the command line that can't be used. The text names it and what to give."""


class Filter:
    """What of the log is wanted. `heads` looks at a record's header, `fields` at what is in it."""

    def __init__(self, words: argparse.Namespace) -> None:
        self._kinds = _kinds(words.kind)
        self._order = None if words.order is None else _number("--order", words.order)
        self._since_ns = None if words.since is None else _time_ns("--since", words.since)
        self._until_ns = None if words.until is None else _time_ns("--until", words.until)
        if self._since_ns is not None and self._until_ns is not None and self._until_ns <= self._since_ns:
            raise LogWordError(f"--until {words.until!r} is not after --since {words.since!r}")
        self._name: str | None = None
        self._account: int | None = None
        if words.account is not None:
            if words.account.isdigit():
                self._account = _number("--account", words.account)
            else:
                self._name = words.account

    @property
    def unknown_account(self) -> str | None:
        """The name that was asked for and has not been seen."""
        return self._name if self._account is None else None

    def heads(self, record: Record) -> bool:
        """Whether kind and time are wanted of a record before `is_over`. To be called for each, in order: it learns the
        account's name."""
        if self.unknown_account is not None and record.kind == EventKind.ACCOUNT:
            event = events.decode(record.seq, record.time_ns, record.payload)
            if event.text == self._name:
                self._account = event.account
        is_kind = self._kinds is None or record.kind in self._kinds
        return is_kind and (self._since_ns is None or record.time_ns >= self._since_ns)

    def is_over(self, record: Record) -> bool:
        """Whether nothing that comes after this record can be wanted: the log's time never goes back."""
        return self._until_ns is not None and record.time_ns >= self._until_ns

    def fields(self, shown: dict[str, Any]) -> bool:
        if self.unknown_account is not None:
            return False
        if self._account is not None and shown.get("account") != self._account:
            return False
        return self._order is None or shown.get("order_id") == self._order


def _kinds(text: str | None) -> frozenset[int] | None:
    if text is None:
        return None
    names = set(KINDS.values())
    found: set[int] = set()
    for word in text.split(","):
        if word not in names:
            near = difflib.get_close_matches(word, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names))}"
            raise LogWordError(f"--kind {word!r} is no kind of record; {hint}")
        found |= {
            kind for kind, name in KINDS.items() if name == word
        }  # a command and its event, of one name
    return frozenset(found)


def _number(word: str, text: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > NUMBER_MAX:
        raise LogWordError(f"{word} {text!r} is no number; give one as `tradewind log cat` shows it")
    return int(text)


def _time_ns(word: str, text: str) -> int:
    """Nanoseconds since 1970 of a time like 2026-11-24T09:30; without an offset it is UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise LogWordError(f"{word} {text!r} is no time; give one like 2026-11-24T09:30:00 (UTC)") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    since_1970 = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_1970.days * 86_400 + since_1970.seconds) * 10**9 + since_1970.microseconds * 1_000
