"""`tradewind admin`: the words of its actions. What they do is in `app/admin.py`, which is imported when one runs, so
that every other command stays quick.
"""

from __future__ import annotations

import argparse
from typing import Any, Final, NamedTuple

from app.config import Config


class Action(NamedTuple):
    """One word behind `tradewind admin`: its line in the help, and its own words as argparse takes them."""

    help: str
    words: tuple[tuple[str, dict[str, Any]], ...]


_LEVELS: Final = ("firm", "desk", "advisor", "household")
_STATES: Final = ("active", "reducing", "halted")
_SESSIONS: Final = ("open", "halted", "pre_open", "auction", "closed")
_CURRENCY: Final = ("--currency", {"default": "USD", "metavar": "ISO"})

ACTIONS: Final = {
    "settle-day": Action(
        "end a settlement day: what was due on it has settled", (("date", {"metavar": "YYYY-MM-DD"}),)
    ),
    "group": Action(
        "define a level above accounts, or give it new limits",
        (
            ("name", {}),
            ("level", {"choices": _LEVELS}),
            ("--parent", {"metavar": "NAME"}),
            _CURRENCY,
            ("--max-order", {"metavar": "MONEY"}),
            ("--max-open", {"metavar": "MONEY"}),
            ("--max-gross", {"metavar": "MONEY"}),
        ),
    ),
    "group-state": Action(
        "halt a group and all below it, or open it again", (("name", {}), ("state", {"choices": _STATES}))
    ),
    "open": Action(
        "open an account, or give it new limits",
        (
            ("number", {}),
            _CURRENCY,
            ("--household", {"metavar": "NAME"}),
            ("--settled-only", {"action": "store_true", "help": "it buys with settled cash only"}),
            ("--max-order-qty", {"default": "10000", "metavar": "QTY"}),
            ("--max-order", {"default": "500000", "metavar": "MONEY"}),
            ("--max-position-qty", {"default": "50000", "metavar": "QTY"}),
        ),
    ),
    "account-state": Action(
        "let an account trade, only reduce, or do nothing; after a break with the venue too",
        (("number", {}), ("state", {"choices": _STATES})),
    ),
    "move": Action(
        "move an account to a household, or with - out of any",
        (("number", {}), ("household", {"metavar": "NAME"})),
    ),
    "pay": Action(
        "pay money in, or with a negative amount out",
        (("number", {}), ("amount", {}), ("--currency", {"metavar": "ISO"})),
    ),
    "session": Action(
        "put an instrument into a session, or halt it", (("symbol", {}), ("state", {"choices": _SESSIONS}))
    ),
    "reference": Action(
        "set an instrument's static prices; one that is left out is unset",
        (
            ("symbol", {}),
            ("--close", {"default": "0", "metavar": "PRICE"}),
            ("--price", {"default": "0", "metavar": "PRICE"}),
        ),
    ),
    "resolve": Action(
        "say what became of an order whose fate at the venue is unknown",
        (
            ("order", {"metavar": "NUMBER"}),
            ("outcome", {"choices": ("canceled", "filled")}),
            ("fill", {"nargs": "?", "metavar": "QTY@PRICE", "help": "with filled: how much, at what price"}),
            (
                "--because",
                {"required": True, "metavar": "TEXT", "help": "where that is known from; journaled"},
            ),
        ),
    ),
    "show": Action(
        "what an account, a group or an instrument is now",
        (("kind", {"choices": ("account", "group", "instrument")}), ("name", {})),
    ),
}


def add_words(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, action in ACTIONS.items():
        subparser = actions.add_parser(name, help=action.help, description=action.help)
        for word, options in action.words:
            subparser.add_argument(word, **options)


def act(config: Config, words: argparse.Namespace) -> int:
    from app import admin

    return admin.act(config, words)
