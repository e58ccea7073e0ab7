"""What a stack is told: one frozen Config, made once at start and handed to every role.

Always holds here: a value comes from the command line, else from TRADEWIND_*, else from tradewind.toml,
else from the default of OPTIONS, in that order; each one is checked where it is read, and a wrong one is a
ConfigError that names the value, where it came from and the remedy. Unknown variables and keys are errors
too: a misspelt TRADEWIND_POSTGRES_URL would otherwise trade on a database of its own. Relative paths count
from the folder the command runs in.

Must not: start, open or create anything. Reading a configuration leaves no trace.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import tomllib
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from app.embedded.secret import read_secret
from app.options import (
    DROP_COPY_GRACE_MS,
    LEASE_MS,
    OPTIONS,
    PORT_OFFSETS,
    PREFIX,
    STANDBY_AWAY_MS,
    Address,
    Option,
)
from fix.simulator.words import Fault

CONFIG_FILE: Final = "tradewind.toml"
SHM_DIR: Final = Path("/dev/shm")
# The simulator answers on the loopback only, whatever address the doors listen on.
VENUE_HOST: Final = "127.0.0.1"
Gate = Literal["written", "synced", "replicated"]
# Whom orders meet in the simulator besides each other: what is replayed, or a flow invented by a seed.
VenueMarket = Literal["replay", "flow"]
# A venue as it should be, or one on a bad day (fix/simulator/temper.py), to test who trades there.
VenueTemper = Literal["calm", "ill"]


class ConfigError(ValueError):
    """A configuration that cannot be used. The text names the value, its place and the remedy."""


class Ports(msgspec.Struct, frozen=True):
    """TCP ports of one stack, all on the loopback address."""

    rest: int
    fix: int
    venue: int
    smtp: int
    drop_copy: int
    standby: int
    binary: int
    postgres: int
    nats: int
    valkey: int


class Config(msgspec.Struct, frozen=True):
    """One stack. Paths are absolute; `speed` is a multiple of recorded time (inf: all out)."""

    data_dir: Path
    run_dir: Path
    port_base: int
    host: str
    shard: int
    gate: Gate
    postgres_url: str
    nats_url: str
    redis_url: str
    venue_address: Address
    replay: Path | None
    speed: float
    ports: Ports
    embedded: frozenset[str]
    """Which of "postgres", "nats", "valkey" this stack starts itself, because no url names another."""
    venue_file: Path | None = None
    """A venue other than one like the simulator: who, where, how, with which secrets (`fix/venue.py`)."""
    venue_market: VenueMarket = "replay"
    venue_temper: VenueTemper = "calm"
    venue_seed: int = 1
    venue_copy_faults: tuple[Fault, ...] = ()
    """What the simulator's drop copy tells wrong, for tests (`fix/simulator/copy_faults.py`)."""
    drop_copy_file: Path | None = None
    """The session on which another venue than the simulator has its drop copy, written as a venue file is."""
    drop_copy_grace_ms: int = DROP_COPY_GRACE_MS
    day_end: time | None = None
    """When the venue's day is over, UTC: day orders that it left open expire then (`actors/timers.py`)."""
    idle: str = "park"
    """What the shard's loop does with nothing to do, by name (`shared_mem/idle.py`)."""
    cores: dict[str, frozenset[int]] = {}
    """By role: the cores that it is pinned to (`app/placement.py`)."""
    log_keep_hours: int = 168
    """Segments of the log younger than this stay, whoever has read them (`shared_mem/retention.py`)."""
    passive_after_hours: int = 720
    """Accounts that did nothing for so long leave the hot tables (`actors/passive.py`)."""
    standby_key: Path | None = None
    """What this host and its standby prove themselves with; None: there is no standby, and no lease is kept."""
    standby_of: Address | None = None
    when_standby_away: Literal["reject", "degrade"] = "reject"
    standby_away_ms: int = STANDBY_AWAY_MS
    lease_ms: int = LEASE_MS
    takeover_after_ms: int = 0
    fix_tls_cert: Path | None = None
    fix_tls_key: Path | None = None
    fix_tls_ca: Path | None = None
    fix_lenient: frozenset[str] = frozenset()

    @property
    def syncs(self) -> bool:
        """Whether what leaves has to be on this host's disk first: stores sync each append."""
        return self.gate != "written"

    @property
    def log_dir(self) -> Path:
        """Segment files of the shard's log: the journal, not what processes print."""
        return self.data_dir / "log"

    @property
    def cursors_dir(self) -> Path:
        """How far each follower of the log has come: what they still need is kept (shared_mem/retention.py)."""
        return self.data_dir / "cursors"

    @property
    def logs_dir(self) -> Path:
        """What processes print, one NAME.log each."""
        return self.data_dir / "logs"

    @property
    def credentials_path(self) -> Path:
        return self.data_dir / "credentials.json"

    @property
    def mailbox_dir(self) -> Path:
        """Maildir of the embedded SMTP server."""
        return self.data_dir / "mailbox"

    @property
    def status_path(self) -> Path:
        return self.data_dir / "run" / "status.json"

    @property
    def lock_path(self) -> Path:
        return self.data_dir / "run" / "lock"


_PATHS: Final = (
    "data_dir",
    "replay",
    "venue_file",
    "drop_copy_file",
    "standby_key",
    "fix_tls_cert",
    "fix_tls_key",
    "fix_tls_ca",
)
_BY_NAME: Final = {option.name: option for option in OPTIONS}

# Variables of other rooms and of the test suite that share the prefix.
OTHER_VARIABLES: Final = {
    "TRADEWIND_CONFIG": f"the configuration file to read instead of ./{CONFIG_FILE}",
    "TRADEWIND_CACHE_DIR": "where compiled functions are kept (default: .cache/ beside the sources)",
}


def load(
    arguments: Mapping[str, str | None] | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Config:
    """The configuration from `arguments` (option name -> text; None: not given), `environment` and the
    tradewind.toml of `directory` (default: the current folder). Raises ConfigError."""
    environment = os.environ if environment is None else environment
    directory = Path.cwd() if directory is None else directory
    given = {name: text for name, text in (arguments or {}).items() if text is not None}
    assert given.keys() <= _BY_NAME.keys()

    values: dict[str, Any] = {
        option.name: None if option.default is None else option.parse(option.default) for option in OPTIONS
    }
    for place, texts in (
        _from_file(environment, directory),
        ("the environment", _from_environment(environment)),
        ("the command line", given),
    ):
        for name, text in texts.items():
            values[name] = _parsed(_BY_NAME[name], text, place)
    for name in _PATHS:
        if values[name] is not None:
            values[name] = Path(os.path.abspath(directory / values[name]))
    return _build(values)


def _parsed(option: Option, text: str, place: str) -> Any:
    try:
        return option.parse(text)
    except ValueError as error:
        shown = option.flag if place == "the command line" else option.variable
        if place.endswith(".toml"):
            shown = option.name
        raise ConfigError(f"{shown} {text!r} ({place}) cannot be used: {error}") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        option = _BY_NAME.get(variable.removeprefix(PREFIX).lower())
        if option is None or option.variable != variable:
            known = [o.variable for o in OPTIONS] + list(OTHER_VARIABLES)
            raise ConfigError(f"{variable} is no variable of Tradewind{_nearest(variable, known)}")
        if text:  # an empty variable is how shells and compose files say "not set"
            texts[option.name] = text
    return texts


def _from_file(environment: Mapping[str, str], directory: Path) -> tuple[str, dict[str, str]]:
    named = environment.get("TRADEWIND_CONFIG")
    path = directory / (named or CONFIG_FILE)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if named:
            raise ConfigError(f"TRADEWIND_CONFIG {named!r} does not exist; name a file or unset it") from None
        return str(path), {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; mend it or move it away") from None
    texts: dict[str, str] = {}
    for key, value in document.items():
        if key not in _BY_NAME:
            raise ConfigError(f"{path}: {key!r} is no setting of Tradewind{_nearest(key, list(_BY_NAME))}")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ConfigError(f"{path}: {key} must be text or a number, and is {value!r}")
        texts[key] = str(value)
    return str(path), texts


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def _build(values: dict[str, Any]) -> Config:
    data_dir: Path = values["data_dir"]
    replay: Path | None = values["replay"]
    if replay is not None and not replay.is_file():
        raise ConfigError(f"replay {str(replay)!r} does not exist; name a .dbn or .dbn.zst recording")
    for name in _PATHS[2:]:
        if values[name] is not None and not values[name].is_file():
            raise ConfigError(f"{name} {str(values[name])!r} does not exist; name a file")
    if values["venue_file"] is not None and values["venue_address"] is not None:
        raise ConfigError("venue_file and venue_address exclude each other; the file names the hosts")
    if (values["fix_tls_cert"] is None) != (values["fix_tls_key"] is None):
        raise ConfigError("fix_tls_cert and fix_tls_key go together; give both or none")
    if values["fix_tls_ca"] is not None and values["fix_tls_cert"] is None:
        raise ConfigError(
            "fix_tls_ca needs fix_tls_cert and fix_tls_key: without TLS nobody shows a certificate"
        )
    if values["gate"] == "replicated" and values["standby_key"] is None:
        raise ConfigError(
            "gate 'replicated' needs a standby, and that needs standby_key; give both or neither"
        )
    if values["venue_market"] == "flow" and replay is not None:
        raise ConfigError("venue_market 'flow' and replay exclude each other; leave one of them out")
    ports = Ports(**{name: values["port_base"] + offset for name, offset in PORT_OFFSETS.items()})
    secret = read_secret(data_dir)
    own = {
        "postgres": ("postgres_url", f"postgresql://tradewind:{secret}@127.0.0.1:{ports.postgres}/tradewind"),
        "nats": ("nats_url", f"nats://tradewind:{secret}@127.0.0.1:{ports.nats}"),
        "valkey": ("redis_url", f"redis://:{secret}@127.0.0.1:{ports.valkey}/0"),
    }
    embedded = frozenset(server for server, (name, _) in own.items() if values[name] is None)
    for server in embedded:
        name, url = own[server]
        values[name] = url
    values["venue_copy_faults"] = values["venue_copy_faults"] or ()
    if values["venue_address"] is None:
        values["venue_address"] = Address(VENUE_HOST, ports.venue)
    return Config(**values, run_dir=run_dir_of(data_dir), ports=ports, embedded=embedded)


def run_dir_of(data_dir: Path) -> Path:
    """The folder of shared memory that belongs to `data_dir`: a name of its own for each user and folder."""
    if not SHM_DIR.is_dir():  # no tmpfs, as on macOS: files that the page cache serves
        return data_dir / "run" / "shm"
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    return SHM_DIR / f"tradewind-{os.getuid()}-{digest}"
