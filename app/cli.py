"""`tradewind`: the one command. A table of subcommands; each knows its words and what it calls.

Always holds here: a fault that a person can mend is one line on stderr and exit code 1, never a traceback; only
`up` and `run` import what trades, so that every other command answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Final, NamedTuple

import msgspec

from app import admin_command, config, fix_command, logs, options, quarantine, stack, standby_command
from app.config import Config, ConfigError
from app.embedded.server import ServerError
from app.faults import StackError

TAIL_LINES: Final = 40
DOUBTS_SHOWN_MAX: Final = 10  # for people; a program reads how many there are
EXIT_FAULT: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


class Command(NamedTuple):
    """One subcommand: its line in the help, its own words, and what it does with them."""

    name: str
    help: str
    add_words: Callable[[argparse.ArgumentParser], None]
    act: Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None, plan: stack.Plan | None = None) -> int:
    """Runs one command; returns its exit code. `plan`: what `up` starts, if not the whole desk."""
    words = _parser().parse_args(arguments)
    words.plan = plan or stack.Plan()
    try:
        code: int = words.act(words)
        sys.stdout.flush()
        return code
    except (ConfigError, StackError, ServerError) as fault:
        print(f"tradewind: {fault}", file=sys.stderr)
        return EXIT_FAULT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `tradewind logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAULT


# -- the commands ------------------------------------------------------------------------------------------


def _up(words: argparse.Namespace) -> int:
    def load() -> Config:
        return _config(words)

    if not words.detach:
        return stack.up(load, words.plan, lambda: None)
    load()  # a wrong word is said before anything is left behind
    return stack.detached(load, words.plan)


def _standby(words: argparse.Namespace) -> int:
    return standby_command.standby(lambda given: _config(words, given), words)


def _takeover(words: argparse.Namespace) -> int:
    return standby_command.takeover(_config(words), words)


def _down(words: argparse.Namespace) -> int:
    print(stack.down(_config(words)))
    return 0


def _status(words: argparse.Namespace) -> int:
    settings = _config(words)
    current = stack.current(settings)
    doubts = _unknown_fates(settings) if current.processes else []
    if words.json:
        doubtful = {"orders_of_unknown_fate": len(doubts)}
        print(json.dumps(current.public() | doubtful | standby_command.seen(settings), indent=2))
        return 0 if current.ready else EXIT_FAULT
    if waiting := quarantine.alert(settings):
        print(waiting)
    if not current.processes:
        print(f"nothing runs on {settings.data_dir}; `tradewind up` starts a stack")
        return EXIT_FAULT
    if current.is_left:
        print("the supervisor was killed; what it left goes on, until `up` replaces it or `down` ends it")
    else:
        print("ready" if current.ready else "not ready")
    for process in current.processes:
        cores = f"cores {process.cores}  " if process.cores else ""
        print(
            f"  {process.name:14} {process.state:9} {process.pid or '-':>8}  {cores}{process.detail}".rstrip()
        )
    if seen := standby_command.seen(settings):
        print(f"  {'standby':14} {standby_command.in_words(seen)}")
    for name, place in (current.endpoints | current.demo).items():
        print(f"  {name:14} {place}")
    if doubts:
        print(
            f"  {len(doubts)} orders of unknown fate: find out at the venue, then `tradewind admin resolve`"
        )
        for line in doubts[:DOUBTS_SHOWN_MAX]:
            print(f"    {line}")
    return 0 if current.ready else EXIT_FAULT


def _unknown_fates(config: Config) -> list[str]:
    from app import fates  # numba comes with it, which takes a second

    return fates.unknown_fates(config)


def _logs(words: argparse.Namespace) -> int:
    folder = _config(words).logs_dir
    paths = sorted(folder.glob("*.log"))
    if words.process:
        paths = [path for path in paths if path.stem == words.process]
    if not paths:
        names = ", ".join(path.stem for path in sorted(folder.glob("*.log")))
        which = f"of {words.process!r} " if words.process else ""
        raise StackError(
            f"no log {which}in {folder}; " + (f"there are {names}" if names else "start a stack")
        )
    single = len(paths) == 1
    for path in paths:
        for line in logs.tail(path, words.lines):
            print(line if single else f"{path.stem:13} | {line}")
    if words.follow:
        for path, line in logs.follow(paths):
            print(line if single else f"{path.stem:13} | {line}", flush=True)
    return 0


def _explain(words: argparse.Namespace) -> int:
    from app import explain

    return explain.show(_config(words), words)


def _run(words: argparse.Namespace) -> int:
    from app.roles import ROLES

    role = next((role for role in ROLES if role.name == words.role), None)
    if role is None:
        raise StackError(f"there is no role {words.role!r}; there are {', '.join(r.name for r in ROLES)}")
    return stack.run_role(_config(words), role)


def _log(words: argparse.Namespace) -> int:
    from app import log_stat, log_tool

    actions = {"cat": log_tool.cat, "verify": log_stat.verify, "stat": log_stat.stat}
    return actions[words.action](_config(words), words)


def _recover(words: argparse.Namespace) -> int:
    from app import recover

    return recover.act(_config(words), words)


def _audit(words: argparse.Namespace) -> int:
    from app import audit

    return audit.act(_config(words), words)


def _admin(words: argparse.Namespace) -> int:
    return admin_command.act(_config(words), words)


def _quarantine(words: argparse.Namespace) -> int:
    return quarantine.act(_config(words), words)


def _bench(words: argparse.Namespace) -> int:
    from loadtests import bench

    return bench.run(words.names, words.json)


def _doctor(words: argparse.Namespace) -> int:
    from app import doctor

    settings = _config(words)
    findings = doctor.examine(doctor.Machine.this(), settings.run_dir, settings.data_dir)
    if words.json:
        for finding in findings:
            print(json.dumps(msgspec.to_builtins(finding)))
    else:
        print(doctor.report(findings))
    return 0


def _version(_words: argparse.Namespace) -> int:
    print(f"tradewind {metadata.version('tradewind')}")
    return 0


# -- their words -------------------------------------------------------------------------------------------


def _no_words(_parser: argparse.ArgumentParser) -> None:
    pass


def _up_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--detach", action="store_true", help="return when everything is ready")


def _status_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs; exit code 0 when ready, else 1")


def _logs_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("process", nargs="?", metavar="NAME", help="one process only (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    parser.add_argument(
        "-n", "--lines", type=int, default=TAIL_LINES, metavar="N", help="how many lines back"
    )


def _run_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("role", metavar="ROLE", help="shard, gateway, … (a wrong name lists them all)")


def _log_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("cat", "verify", "stat"))
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--account", metavar="NAME", help="cat: only this account, by its name or its number")
    parser.add_argument("--order", metavar="N", help="cat: only this order id")
    parser.add_argument(
        "--kind",
        metavar="WORDS",
        help="cat: only records of these kinds: order,cash,break (a wrong one lists all)",
    )
    parser.add_argument("--since", metavar="TIME", help="cat: from this UTC time on, as 2026-11-24T09:30")
    parser.add_argument("--until", metavar="TIME", help="cat: before this UTC time")
    parser.add_argument("-f", "--follow", action="store_true", help="cat: go on with what comes")


def _recover_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="look only; exit code 1 when a start would halt"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")


def _audit_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="for programs: one JSON object, with the differences"
    )


def _explain_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "order",
        metavar="ORDER",
        help="its number, its id in the REST API, its ClOrdID, or the client's own id for it",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _bench_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="a wrong name lists them all")
    parser.add_argument("--json", action="store_true", help="one JSON row a line")


COMMANDS: Final = (
    Command("up", "start a stack, and stop it with Ctrl-C", _up_words, _up),
    Command("down", "stop a stack that was started with --detach", _no_words, _down),
    Command(
        "standby",
        "follow another host's shard, to take it over",
        standby_command.add_standby_words,
        _standby,
    ),
    Command(
        "takeover",
        "make the standby of this data folder the owner",
        standby_command.add_takeover_words,
        _takeover,
    ),
    Command("status", "what runs, and where", _status_words, _status),
    Command("logs", "what the processes print", _logs_words, _logs),
    Command("run", "run one role in the foreground, for containers", _run_words, _run),
    Command("log", "read the shard's log: cat, verify or stat", _log_words, _log),
    Command("recover", "what a start would recover, and from what: --dry-run", _recover_words, _recover),
    Command("audit", "hold log, Postgres and JetStream against each other", _audit_words, _audit),
    Command("explain", "why an order was taken or refused, and what became of it", _explain_words, _explain),
    Command(
        "admin",
        "ask a running shard: accounts, groups, settlement days, sessions",
        admin_command.add_words,
        _admin,
    ),
    Command(
        "quarantine",
        "what made the shard die and was put aside: list, skip or retry",
        quarantine.add_words,
        _quarantine,
    ),
    Command("bench", "run benchmarks (all, or by name) and print their figures", _bench_words, _bench),
    Command("fix", "FIX by hand: an echoing acceptor", fix_command.add_words, fix_command.act),
    Command("doctor", "what of this machine costs latency, and what to do", _status_words, _doctor),
    Command("version", "the version", _no_words, _version),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tradewind",
        description="A low-latency trading core: orders in, risk checked, journaled, and out as FIX.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.help, description=command.help)
        command.add_words(subparser)
        settings = subparser.add_argument_group("settings")
        for option in options.OPTIONS:
            shown = "" if option.default is None else f" (default: {option.default})"
            settings.add_argument(
                option.flag, dest=f"option_{option.name}", metavar=option.metavar, help=option.help + shown
            )
        subparser.set_defaults(act=command.act)
    return parser


def _epilog() -> str:
    lines = ["settings, for every command; first the command line counts, then the variable, then the file:"]
    for option in options.OPTIONS:
        shown = "" if option.default is None else f" (default: {option.default})"
        lines.append(f"  {option.flag} {option.metavar}, {option.variable}")
        lines.append(f"        {option.help}{shown}")
    lines.append(
        f"  The file is ./{config.CONFIG_FILE}; its keys are the variables' names without TRADEWIND_,"
    )
    lines.append('  in small letters: port_base = 8700, gate = "synced".')
    lines.append("other variables:")
    lines += [f"  {variable}\n        {help}" for variable, help in config.OTHER_VARIABLES.items()]
    return "\n".join(lines)


def _config(words: argparse.Namespace, more: Mapping[str, str] | None = None) -> Config:
    given = {option.name: getattr(words, f"option_{option.name}") for option in options.OPTIONS}
    given |= more or {}
    return config.load(given)


if __name__ == "__main__":
    sys.exit(main())
