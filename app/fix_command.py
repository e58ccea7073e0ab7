"""`tradewind fix`: FIX from the command line. A table of what it can do, each with its own words.

Always holds here: the engine is imported by what needs it, when it runs, so that every other command stays quick.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from app import fix_decode
from app.faults import StackError

if TYPE_CHECKING:
    from fix.echo import Options


class Action(NamedTuple):
    """One word behind `tradewind fix`: its line in the help, its own words, and what it does with them."""

    name: str
    help: str
    add_words: Callable[[argparse.ArgumentParser], None]
    act: Callable[[argparse.Namespace], int]


def add_words(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for action in ACTIONS:
        subparser = actions.add_parser(action.name, help=action.help, description=action.help)
        action.add_words(subparser)
        subparser.set_defaults(fix_act=action.act)


def act(words: argparse.Namespace) -> int:
    code: int = words.fix_act(words)
    return code


# -- echo-acceptor -----------------------------------------------------------------------------------------


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text[:6]) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")
    return int(text)


def _echo_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, required=True, metavar="N", help="0: any free one")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST", help="where it listens (default: here)"
    )
    parser.add_argument(
        "--version", default="all", metavar="VERSION", help="of FIX: 4.0 to 5.0SP2, or all (default: all)"
    )
    parser.add_argument(
        "--dialect",
        default="strict",
        choices=("strict", "quickfixj"),
        help="whose scripts it is for (default: strict)",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of QuickFIX, as ResetOnLogon=N; as often as wanted (a wrong name lists them all)",
    )


def _echo(words: argparse.Namespace) -> int:
    from fix import echo

    given = {}
    for option in words.option:
        name, equals, value = option.partition("=")
        if not equals:
            raise StackError(f"--option {option}: write NAME=VALUE")
        given[name] = value
    try:
        options = echo.options_of(words.version, words.dialect, given)
    except echo.OptionError as error:
        raise StackError(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="tradewind-echo-") as folder, suppress(asyncio.CancelledError):
        try:
            asyncio.run(_serve(words, options, Path(folder)))
        except OSError as error:
            raise StackError(f"port {words.port} of {words.host}: {error.strerror}") from error
    return 0


async def _serve(words: argparse.Namespace, options: Options, folder: Path) -> None:
    from fix import echo

    def listening(port: int) -> None:
        print(f"echoing as {echo.COMP_ID} on {words.host}:{port}; Ctrl-C ends it", flush=True)

    serving = asyncio.create_task(echo.serve(words.host, words.port, options, folder, listening))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    await serving


ACTIONS: Final = (
    Action("echo-acceptor", "an acceptor for QuickFIX's acceptance scripts", _echo_words, _echo),
    Action("decode", "print raw FIX by field name and meaning", fix_decode.add_words, fix_decode.act),
)
