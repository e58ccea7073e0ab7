"""The processes of a stack, one file each: thin wiring of a room's work to the configuration.

ROLES is the order of life: a role starts when those it needs are ready, and stops in its stage, lowest first.
Doors close before what they feed, and followers drain what the shard has logged before the servers go.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from app.config import Config

Main = Callable[["Config", Callable[[], None]], None]


class Role(NamedTuple):
    """One forked Python process: `main(config, ready)` of app/roles/<module>.py, until SIGTERM."""

    name: str
    needs: tuple[str, ...]
    stop_stage: int
    once: bool = False  # does its work and ends; what needs it waits for that end
    holds: bool = False  # `once`, and ready long before: what needs it may wait for ever
    only_with: str = ""  # runs only where the configuration has a value of this name

    @property
    def module(self) -> str:
        return "app.roles." + self.name.replace("-", "_")

    def load(self) -> ModuleType:
        return importlib.import_module(self.module)

    def wanted(self, config: Config) -> bool:
        return not self.only_with or getattr(config, self.only_with) is not None

    def main(self) -> Main:
        entry: Main = self.load().main
        return entry


DOORS, PRICES, VENUES, SHARD, LOG_FOLLOWERS, FOLLOWERS, MAIL, SERVERS = range(8)

ROLES: Final = (
    Role("migrate", ("postgres",), FOLLOWERS, once=True),
    Role("mailbox", (), MAIL),
    Role("shard", ("migrate",), SHARD),
    Role("replicator", ("shard",), LOG_FOLLOWERS, only_with="standby_key"),
    Role("venue", ("shard",), VENUES),
    Role("fix", ("shard",), VENUES),
    Role("venue-copy", ("shard",), VENUES),
    Role("marketdata", ("shard",), PRICES),
    Role("gateway", ("shard",), DOORS),
    Role("fix-door", ("shard",), DOORS),
    Role("binary-door", ("shard",), DOORS),
    Role("drop-copy", ("shard",), DOORS),
    Role("publisher", ("nats", "shard"), LOG_FOLLOWERS),
    Role("portfolio", ("migrate", "nats", "shard"), FOLLOWERS),
    Role("notifications", ("migrate", "nats", "mailbox"), FOLLOWERS),
    Role("snapshots", ("migrate", "shard"), LOG_FOLLOWERS),
)
