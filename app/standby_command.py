"""`tradewind standby` and `tradewind takeover`: this host as the second one of a shard, and its becoming the first.

`standby` starts a whole stack whose first role, `standby`, follows the owner; everything else waits until that role
has taken the shard over, and then starts as on any host. So a take-over starts nothing cold: all was imported and
compiled before.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from app import stack
from app.config import Config
from app.faults import StackError
from app.roles import FOLLOWERS, ROLES, Role

# How long `takeover` waits for the standby's word: an owner's lease at its longest, and a hand-over.
TAKEOVER_S: Final = 60.0
POLL_S: Final = 0.02

# What the role and this command say to each other, in the data folder's run/.
REQUEST_FILE: Final = "takeover"
ANSWER_FILE: Final = "takeover.done"
# As in services/standby/standing.py, which a command that does not trade need not load; a test holds them equal.
STATUS_FILE: Final = "standby.json"


class Request(msgspec.Struct, frozen=True):
    """without_postgres: an operator vouches that the former owner is down, for the database can't be asked."""

    without_postgres: bool


class Answer(msgspec.Struct, frozen=True):
    """What became of it; error "" for done. times_ms: of its steps, since it was asked."""

    error: str
    epoch: int = 0
    seq: int = 0
    state_hash: str = ""
    times_ms: dict[str, float] = {}


def roles() -> tuple[Role, ...]:
    """Those of a stack, after the role `standby`, and none that needs the database to begin."""
    follows = Role("standby", (), FOLLOWERS, once=True, holds=True)
    waiting = []
    for role in ROLES:
        needs = tuple(need for need in role.needs if not (role.name == "shard" and need == "migrate"))
        waiting.append(role if role.name == "migrate" else role._replace(needs=(*needs, "standby")))
    return (follows, *(role for role in waiting if role.name != "venue"))


def plan() -> stack.Plan:
    return stack.Plan(roles())


def add_standby_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--of", metavar="HOST:PORT", help="the owner's standby port (its port base + 5)")
    parser.add_argument("--detach", action="store_true", help="return when it follows")


def standby(load: Callable[[dict[str, str]], Config], words: argparse.Namespace) -> int:
    """Until a signal, as `up`."""
    given = {"standby_of": words.of} if words.of else {}

    def config() -> Config:
        found = load(given)
        if found.standby_of is None or found.standby_key is None:
            raise StackError(
                "a standby needs its owner's address and their key: --of HOST:PORT --standby-key FILE"
            )
        return found

    config()
    if words.detach:
        return stack.detached(config, plan())
    return stack.up(config, plan(), lambda: None)


def add_takeover_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--without-postgres",
        action="store_true",
        help="the database is gone, and YOU vouch that the former owner is stopped for good",
    )


def takeover(config: Config, words: argparse.Namespace) -> int:
    """Asks the standby that runs on this data folder to become the owner; returns when it is."""
    folder = config.data_dir / "run"
    if not (folder / "standby").exists():
        raise StackError(f"no standby runs on {config.data_dir}; `tradewind standby` starts one")
    answer = folder / ANSWER_FILE
    answer.unlink(missing_ok=True)
    write(folder / REQUEST_FILE, Request(words.without_postgres))
    deadline = time.monotonic() + TAKEOVER_S
    while not answer.exists():
        if time.monotonic() > deadline:
            raise StackError(
                f"the standby did not answer within {TAKEOVER_S:.0f} s; see `tradewind logs standby`"
            )
        time.sleep(POLL_S)
    done = msgspec.json.decode(answer.read_bytes(), type=Answer)
    if done.error:
        raise StackError(done.error)
    if words.json:
        print(json.dumps(msgspec.to_builtins(done)))
    else:
        steps = ", ".join(f"{step} {ms:.0f} ms" for step, ms in done.times_ms.items())
        print(
            f"this host owns the shard: epoch {done.epoch}, seq {done.seq}, state {done.state_hash}; {steps}"
        )
    return 0


def seen(config: Config) -> dict[str, dict[str, object]]:
    """What the owner last said of its standby: {"standby": {"state": …, "lag_bytes": …}}; {} where there is none."""
    try:
        found = json.loads((config.run_dir / STATUS_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return {"standby": found}


def in_words(seen: dict[str, dict[str, object]]) -> str:
    found = seen["standby"]
    lag = f"{found['lag_bytes']:,} bytes behind"
    return f"{found['state']} {found['host']} at {found['position']}, {lag} {found['detail']}".rstrip()


def write(path: Any, message: msgspec.Struct) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.encode(message))
    fresh.replace(path)
