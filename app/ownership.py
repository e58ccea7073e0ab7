"""This host as a shard's owner, where the shard has a standby: claiming it, keeping the lease, and ending without it.

Always holds: an owner's lease stands in the log's tail before its shard takes the first command. When the database says
that another host owns the shard, the tail is fenced, so that nothing leaves this host any more, and the process ends
with EXIT_LEASE_OVER, which ends the stack.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from app.config import Config
from services import database
from services.standby import ownership
from services.standby.ownership import LeaseKeeper, NotOwner
from shared_mem import lease
from shared_mem.cursors import BEGINNING, saved_cursors
from shared_mem.log import DEGRADED, LEASE_UNTIL, REPLICATED, STANDBY_UNTIL, Tail
from shared_mem.retention import STANDBY_CURSOR

_log: Final = logging.getLogger("tradewind.owner")

# How often a host that starts asks for a database that is away.
RETRY_S: Final = 0.5


class TakenOver(msgspec.Struct, frozen=True):
    """Left in the data folder of a standby that has become the owner. is_vouched: by an operator alone, since the
    database could not be asked; no lease is kept until it can."""

    epoch: int
    is_vouched: bool


def taken_over_path(config: Config) -> Path:
    return config.data_dir / "taken-over.json"


def taken_over(config: Config) -> TakenOver | None:
    try:
        return msgspec.json.decode(taken_over_path(config).read_bytes(), type=TakenOver)
    except FileNotFoundError:
        return None


def host_name(config: Config) -> str:
    """This host and data folder, as it stands in the database: a name that no other folder has."""
    path = config.data_dir / "host.id"
    try:
        number = path.read_text().strip()
    except FileNotFoundError:
        number = secrets.token_hex(4)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(number + "\n")
    return f"{socket.gethostname()}:{number}"


def epoch_of(config: Config) -> int | None:
    """Of the owner on this host: what a follower writes for it is refused once another has taken over. None where the
    shard has no standby. Raises SegmentMissing before the shard has begun."""
    return Tail.attach(config.run_dir).epoch if config.standby_key is not None else None


class NotTheOwner(SystemExit):
    """Ends a process with EXIT_LEASE_OVER and a line that says why."""

    def __init__(self, why: NotOwner) -> None:
        _log.critical("%s", why)
        super().__init__(lease.EXIT_LEASE_OVER)


class Claim(NamedTuple):
    """What the database granted, and when it was asked, by this machine's clock since boot. lease_ms 0: nothing was
    asked, for an operator vouches."""

    epoch: int
    asked_ns: int
    lease_ms: int


def claim(config: Config) -> Claim:
    """The shard for this host; waits for the database, without which nobody knows who owns it. Raises NotTheOwner."""
    found = taken_over(config)
    if found is not None and found.is_vouched:
        return Claim(found.epoch, lease.boot_ns(), 0)
    told = False
    while True:
        asked_ns = lease.boot_ns()
        try:
            return Claim(asyncio.run(_claim(config)), asked_ns, config.lease_ms)
        except NotOwner as error:
            raise NotTheOwner(error) from None
        except database.POSTGRES_TROUBLE as error:
            if not told:
                told = True
                _log.error("Postgres is away (%s), and knows who owns this shard: waiting for it", error)
            time.sleep(RETRY_S)


async def _claim(config: Config) -> int:
    await database.migrate(config.postgres_url)
    connection = await database.connect(config.postgres_url)
    try:
        return await ownership.claim(connection, config.shard, host_name(config), config.lease_ms)
    finally:
        await connection.close()


def say_whether_orders_wait(config: Config, tail: Tail) -> None:
    """Before the shard takes an order: whether it needs a standby for that. One that was never heard of is away; what
    it had acknowledged before this machine went down stands in its cursor."""
    had = saved_cursors(config.cursors_dir).get(STANDBY_CURSOR, BEGINNING).position
    if config.gate == "replicated" and tail.word(REPLICATED) == 0:
        tail.set_word(REPLICATED, min(had, tail.synced))
    waits = config.gate == "replicated" and config.when_standby_away == "reject"
    before = tail.word(STANDBY_UNTIL)
    tail.set_word(STANDBY_UNTIL, (before or 1) if waits else 0)
    if config.gate == "replicated" and not waits and had == 0:
        tail.set_word(DEGRADED, 1)
        _log.error("no standby was ever here: ORDERS GO ON WITHOUT IT (when_standby_away = degrade)")


class Lease:
    """The lease, renewed from now on in a thread of its own; `write_to` puts it where everybody looks. granted: by a
    `claim` just now."""

    def __init__(self, config: Config, granted: Claim | None = None) -> None:
        self._lease_ns = config.lease_ms * 1_000_000
        self._tail: Tail | None = None
        self._epoch = granted.epoch if granted is not None else 0
        self._until_ns = 0
        if granted is not None and granted.lease_ms:
            self._until_ns = granted.asked_ns + self._lease_ns
        found = taken_over(config)
        self._keeper = LeaseKeeper(
            config.postgres_url,
            config.shard,
            host_name(config),
            lambda: self._tail.epoch if self._tail is not None else self._epoch,
            config.lease_ms,
            lease.boot_ns,
            self._renewed,
            self._lost,
            is_vouched=found is not None and found.is_vouched,
        )
        self._keeper.start()

    def write_to(self, tail: Tail) -> None:
        """From now on the lease stands in the log's tail."""
        self._tail = tail
        if self._until_ns:
            lease.extend(tail, LEASE_UNTIL, self._until_ns)

    def stop(self) -> None:
        self._keeper.stop()

    def _renewed(self, asked_ns: int) -> None:
        self._until_ns = asked_ns + self._lease_ns
        if self._tail is not None:
            lease.extend(self._tail, LEASE_UNTIL, self._until_ns)

    def _lost(self, error: NotOwner) -> None:
        if self._tail is not None:
            lease.fence(self._tail)
        _log.critical("%s", error)
        os._exit(lease.EXIT_LEASE_OVER)
