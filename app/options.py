"""The table of what a stack can be told: each option's name, how its text is read, its default and its line of help.

Always holds here: a parser raises ValueError with what to give instead. Where a value comes from, and what becomes of
them all, is `app/config.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from app import placement
from app.config_values import host, time_of_day, url
from app.fix_settings import faults, fix_rules

PREFIX: Final = "TRADEWIND_"
# Ports of a stack are offsets from one base, so that two stacks differ in one number.
PORT_OFFSETS: Final = {
    "rest": 0, "fix": 1, "venue": 2, "smtp": 3, "drop_copy": 4, "standby": 5, "binary": 6,
    "postgres": 10, "nats": 11, "valkey": 12,
}  # fmt: skip
PORT_OFFSET_MAX: Final = max(PORT_OFFSETS.values())
PORT_BASE_MIN: Final = 1024  # below, only root may listen
PORT_BASE_MAX: Final = 65535 - PORT_OFFSET_MAX
# The partition's number stands in 12 bits of every id that leaves a shard (core/ids.py).
SHARD_MAX: Final = 4095
# Faster than this a day of ticks lasts 9 seconds; a recording meant to run flat out says --speed max.
SPEED_MAX: Final = 10_000.0
# As in shared_mem/idle.py, which a command that does not trade need not load; a test holds them equal.
IDLE_STRATEGIES: Final = ("spin", "pause", "yield", "park")
# A hundred years: what is to be kept for good is copied away.
KEEP_HOURS_MAX: Final = 876_000
# How long an execution may be known to one side only. The venue's line may take 5 s to be tried again
# (fix/initiator.py), a role's restart 2 s.
DROP_COPY_GRACE_MS: Final = 10_000
DROP_COPY_GRACE_MS_MAX: Final = 3_600_000
# How long an owner may act without a word of the database or of its standby; a take-over waits as long.
LEASE_MS: Final = 2000
# A round trip and two syncs take milliseconds; a standby that restarts, some hundred.
STANDBY_AWAY_MS: Final = 1000
# Below, a busy machine's scheduler would end owners; above, nobody would call it a take-over.
STANDBY_MS_MIN: Final = 100
STANDBY_MS_MAX: Final = 600_000


class Address(NamedTuple):
    """Where somebody else listens."""

    host: str
    port: int


class Option(NamedTuple):
    """One thing a stack can be told. The variable is TRADEWIND_NAME, the key in tradewind.toml `name`."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    metavar: str
    help: str

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("give the path of a folder or file")
    return Path(text).expanduser()


def _port_base(text: str) -> int:
    number = _whole(text)
    if not PORT_BASE_MIN <= number <= PORT_BASE_MAX:
        raise ValueError(
            f"give a number from {PORT_BASE_MIN} to {PORT_BASE_MAX}; ports up to +{PORT_OFFSET_MAX} are used"
        )
    return number


def _shard(text: str) -> int:
    number = _whole(text)
    if not 0 <= number <= SHARD_MAX:
        raise ValueError(f"give a number from 0 to {SHARD_MAX}")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("give a whole number") from None


def _gate(text: str) -> str:
    if text not in ("written", "synced", "replicated"):
        raise ValueError(
            'give "written" (survives the death of any process), "synced" (survives power loss too) or '
            '"replicated" (survives the loss of this host: a standby has it)'
        )
    return text


def _when_standby_away(text: str) -> str:
    if text not in ("reject", "degrade"):
        raise ValueError(
            'give "reject" (no order without the standby) or "degrade" (go on as gate synced, alarmed)'
        )
    return text


def _standby_ms(text: str) -> int:
    number = _whole(text)
    if not STANDBY_MS_MIN <= number <= STANDBY_MS_MAX:
        raise ValueError(f"give milliseconds, from {STANDBY_MS_MIN} to {STANDBY_MS_MAX}")
    return number


def _takeover_ms(text: str) -> int:
    return 0 if text == "0" else _standby_ms(text)


def _venue_market(text: str) -> str:
    if text not in ("replay", "flow"):
        raise ValueError(
            'give "replay" (its quotes or recorded orders) or "flow" (orders invented by a seed)'
        )
    return text


def _venue_temper(text: str) -> str:
    if text not in ("calm", "ill"):
        raise ValueError('give "calm" or, for tests, "ill" (late, doubled, garbled and unasked messages)')
    return text


def _grace_ms(text: str) -> int:
    number = _whole(text)
    if not 0 < number <= DROP_COPY_GRACE_MS_MAX:
        raise ValueError(f"give milliseconds, from 1 to {DROP_COPY_GRACE_MS_MAX}")
    return number


def _idle(text: str) -> str:
    if text not in IDLE_STRATEGIES:
        raise ValueError(
            "give spin or pause (each takes a core for itself), yield, or park (sleeps until there is work)"
        )
    return text


def _hours(text: str) -> int:
    hours = _whole(text)
    if not 1 <= hours <= KEEP_HOURS_MAX:
        raise ValueError(f"give a number of hours from 1 to {KEEP_HOURS_MAX}")
    return hours


def _speed(text: str) -> float:
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed <= SPEED_MAX:
        raise ValueError(f"give a multiple of recorded time above 0 and up to {SPEED_MAX:g}, or max")
    return speed


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if (
        not host
        or any(c.isspace() or c == "/" for c in host)
        or not port.isdigit()
        or not 0 < int(port) < 65536
    ):
        raise ValueError("give the address of a FIX acceptor, like venue.example:9876")
    return Address(host.strip("[]"), int(port))


OPTIONS: Final = (
    Option("data_dir", _path, ".tradewind", "DIR", "where everything is kept"),
    Option("port_base", _port_base, "8700", "PORT", "first port: the page and API; the others follow"),
    Option("host", host, "127.0.0.1", "ADDR", "address the page, API, FIX and binary doors listen on"),
    Option("replay", _path, None, "FILE", "an order-by-order recording (.dbn or .dbn.zst) to trade against"),
    Option("speed", _speed, "1", "N", "multiple of recorded time at which the replay runs, or max"),
    Option(
        "gate",
        _gate,
        "written",
        "GATE",
        "how far the log must be before effects leave: written, synced or replicated",
    ),
    Option("standby_key", _path, None, "FILE", "the key (mode 600) that this host and its standby share"),
    Option("standby_of", _address, None, "HOST:PORT", "the owner that this host is the standby of"),
    Option(
        "when_standby_away",
        _when_standby_away,
        "reject",
        "ANSWER",
        "gate replicated and no standby: reject orders, or degrade to synced with an alarm",
    ),
    Option(
        "standby_away_ms", _standby_ms, str(STANDBY_AWAY_MS), "MS", "silence after which the standby is away"
    ),
    Option("lease_ms", _standby_ms, str(LEASE_MS), "MS", "how long an owner acts without a renewed lease"),
    Option(
        "takeover_after_ms",
        _takeover_ms,
        "0",
        "MS",
        "silence of the owner after which its standby takes over; 0: by command only",
    ),
    Option("day_end", time_of_day, None, "HH:MM", "UTC time at which day orders expire; default: never"),
    Option("cores", placement.parse, "", "LIST", "cores of roles: shard=2-3 fix-door=4; others run anywhere"),
    Option("idle", _idle, "park", "NAME", "the shard with nothing to do: spin, pause, yield or park"),
    Option(
        "log_keep_hours",
        _hours,
        "168",
        "HOURS",
        "age below which the log's files stay, though snapshot and readers are past them",
    ),
    Option(
        "passive_after_hours",
        _hours,
        "720",
        "HOURS",
        "accounts without open orders that did nothing for so long leave the hot tables until they are needed",
    ),
    Option("shard", _shard, "0", "N", "number of this stack's shard"),
    Option("postgres_url", url("postgresql", "postgres"), None, "URL", "use this PostgreSQL; starts none"),
    Option("nats_url", url("nats", "tls"), None, "URL", "use this NATS server (JetStream on); starts none"),
    Option("redis_url", url("redis", "rediss"), None, "URL", "use this Redis or Valkey server; starts none"),
    Option(
        "venue_address",
        _address,
        None,
        "HOST:PORT",
        "where orders go by FIX; default: this stack's simulator",
    ),
    Option("venue_file", _path, None, "FILE", "a venue by profile, with hosts and secrets (.toml, mode 600)"),
    Option(
        "venue_market", _venue_market, "replay", "KIND", "what the simulator trades against: replay or flow"
    ),
    Option(
        "venue_temper", _venue_temper, "calm", "KIND", "how the simulator behaves: calm, or ill for tests"
    ),
    Option("venue_seed", _whole, "1", "N", "seed of the simulator's flow and of its ill temper"),
    Option(
        "venue_copy_faults",
        faults,
        None,
        "LIST",
        "what the simulator's drop copy tells wrong, once each, for tests",
    ),
    Option(
        "drop_copy_file",
        _path,
        None,
        "FILE",
        "the venue's drop-copy session (.toml, mode 600, like venue_file)",
    ),
    Option(
        "drop_copy_grace_ms",
        _grace_ms,
        str(DROP_COPY_GRACE_MS),
        "MS",
        "how long an execution may be told by one side only before it is a break",
    ),
    Option(
        "fix_tls_cert",
        _path,
        None,
        "FILE",
        "certificate (PEM) of the FIX and binary doors, which then speak TLS only",
    ),
    Option("fix_tls_key", _path, None, "FILE", "its key (PEM, mode 600)"),
    Option(
        "fix_tls_ca",
        _path,
        None,
        "FILE",
        "authority (PEM) of which each of their clients needs a certificate",
    ),
    Option(
        "fix_lenient",
        fix_rules,
        "",
        "RULES",
        "rules of FIX that clients need not keep, comma between; or all",
    ),
)
