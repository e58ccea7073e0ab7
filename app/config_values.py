"""Values of a configuration, out of text: each function raises ValueError with what to give."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from urllib.parse import urlsplit


def host(text: str) -> str:
    if not text or any(c.isspace() or c == "/" for c in text):
        raise ValueError("give an address to listen on, like 127.0.0.1 or 0.0.0.0")
    return text


def url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        example = f"{schemes[0]}://user:password@host:port"
        try:
            parts = urlsplit(text)
            usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number
            usable = False
        if not usable:
            raise ValueError(f"give a url like {example}")
        return text

    return parse


def time_of_day(text: str) -> time:
    try:
        found = time.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is not None or found.microsecond:
        raise ValueError("give a time of day in UTC, like 21:00")
    return found
