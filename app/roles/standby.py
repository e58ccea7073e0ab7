"""The role `standby`: follows the owner until this host takes the shard over, and ends then; the other roles start.

    following ──▶ asked, or the owner is silent ──▶ the row is ours ──▶ the former lease is over ──▶ settled, done

Always holds: nothing of this host leaves before the last of these steps. An owner that still lives is asked to hand
over, if this host can reach it; one that can't be reached has lost its lease by then, and its promise from here too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from typing import Final

import msgspec

from app.config import Config
from app.ownership import TakenOver, host_name, taken_over, taken_over_path
from app.standby_command import ANSWER_FILE, REQUEST_FILE, Answer, Request, write
from app.stored_snapshots import snapshot_path
from fix.store import Store
from services import database
from services.standby import ownership
from services.standby.copy_of_owner import CopyOfOwner
from services.standby.files import STORES
from services.standby.follower_link import FollowerLink, Who
from services.standby.messages import read_key
from services.standby.ownership import NotOwner, Owner
from shared_mem import lease

_log: Final = logging.getLogger("tradewind.standby")

# What a session may have sent without this host's knowledge, at the gates that do not wait for it: at 1,000 messages a
# second a quarter of an hour. FIX's numbers have room for thousands of take-overs.
NUMBERS_SKIPPED: Final = 1_000_000
# Above the log's, where the database can't be asked: it may have counted one more life of the former owner than the
# log shows, and this owner must be above that too.
VOUCHED_EPOCHS: Final = 2
# How long an owner that answers has to hand over: two busy disks may take their time for what is under way.
HAND_OVER_S: Final = 15.0
# How often the database is asked again whether the owner's lease is over.
ASK_S: Final = 0.1


class _TakeOver(Exception):
    """Ends the following: this host is to become the owner."""


class StandbyHost:
    """This host, from its first connection to its becoming the owner."""

    def __init__(self, config: Config) -> None:
        assert config.standby_of is not None, "`tradewind standby` names the owner"
        assert config.standby_key is not None, "`tradewind standby` has a key"
        self._config = config
        self._run = config.data_dir / "run"
        self._copy = CopyOfOwner(
            config.data_dir,
            config.log_dir,
            config.run_dir,
            config.cursors_dir,
            snapshot_path(config),
            config.shard,
            config.log_keep_hours,
        )
        self._copy.open()
        name = host_name(config)
        key = read_key(config.standby_key)
        self._link = FollowerLink(Who(name, config.shard, key, *config.standby_of), self._copy, self._look)
        self._name = name
        self._request: Request | None = None
        self._asked_ns = 0
        self._looked_s = 0.0
        self._told_s = 0.0
        self._times: dict[str, float] = {}

    # -- following -------------------------------------------------------------------------------------------

    def run(self, ready: Callable[[], None]) -> None:
        """Until this host owns the shard. Raises Diverged, LinkRefused, LogError."""
        (self._run / REQUEST_FILE).unlink(missing_ok=True)
        (self._run / "standby").touch()
        ready()
        while True:
            with contextlib.suppress(_TakeOver):
                self._link.follow()
            try:
                self._take_over()
            except (NotOwner, *database.POSTGRES_TROUBLE) as error:
                self._refuse(str(error) or type(error).__name__)
                continue
            (self._run / "standby").unlink()
            return

    def _look(self) -> None:
        """Whether the following is to end. Called all the time."""
        if self._request is None and (self._run / REQUEST_FILE).exists():
            self._asked_ns = lease.boot_ns()
            self._request = msgspec.json.decode((self._run / REQUEST_FILE).read_bytes(), type=Request)
            (self._run / REQUEST_FILE).unlink()
            self._times = {}
            if why := self._why_not():
                self._refuse(why)
            elif self._link.is_connected:
                self._link.hand_over_asked = True  # the following ends when all has come
            else:
                raise _TakeOver
            return
        silent_ns = lease.boot_ns() - self._link.heard_ns
        if self._request is not None:
            if not self._link.is_connected or lease.boot_ns() - self._asked_ns > HAND_OVER_S * 1e9:
                raise _TakeOver
            return
        after_ms = self._config.takeover_after_ms
        if after_ms and self._copy.log_id and silent_ns > after_ms * 1_000_000:
            if time.monotonic() - self._looked_s < ASK_S:
                return
            self._looked_s = time.monotonic()
            if self._owner_is_gone():
                self._asked_ns = lease.boot_ns()
                raise _TakeOver

    def _why_not(self) -> str:
        """Before the owner is asked for anything: what would keep this host from owning the shard."""
        if not self._copy.log_id:
            return "this standby has no copy of the log yet"
        if self._request is not None and not self._request.without_postgres:
            try:
                asyncio.run(self._read())
            except database.POSTGRES_TROUBLE as error:
                return f"Postgres can't be asked who owns the shard ({error!r}); see --without-postgres"
        return ""

    def _owner_is_gone(self) -> bool:
        """Whether the database says so too. With no database nobody takes over by himself."""
        try:
            owner = asyncio.run(self._read())
        except database.POSTGRES_TROUBLE as error:
            if time.monotonic() - self._told_s > 5:
                self._told_s = time.monotonic()
                _log.error("the owner is silent, and Postgres can't be asked for its lease (%s)", error)
            return False
        return owner is not None and owner.left_ms == 0

    async def _read(self) -> Owner | None:
        connection = await database.connect(self._config.postgres_url)
        try:
            return await ownership.read(connection, self._config.shard)
        finally:
            await connection.close()

    # -- taking over -----------------------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Raises NotOwner, POSTGRES_TROUBLE: then nothing was changed."""
        config = self._config
        vouched = self._request is not None and self._request.without_postgres
        handed = self._link.was_handed_over
        self._step("handed over" if handed else "decided")
        if vouched:
            epoch, wait_ms = self._copy.epoch + VOUCHED_EPOCHS, 0
        else:
            epoch, wait_ms = asyncio.run(self._claim())
            wait_ms = 0 if handed else wait_ms
        self._step("claimed")
        until_ns = lease.boot_ns() + wait_ms * 1_000_000
        if not handed:
            until_ns = max(until_ns, self._link.promised_until_ns)
        snapshot = self._copy.settle()  # meanwhile the former owner's lease runs out
        self._settle_sessions()
        self._step("settled")
        while (left_ns := until_ns - lease.boot_ns()) > 0:
            time.sleep(left_ns / 1e9)
        self._step("the former lease over")
        write(taken_over_path(config), TakenOver(epoch, vouched))
        _log.warning(
            "THIS HOST OWNS SHARD %d: epoch %d, seq %d, state %s",
            config.shard, epoch, snapshot.seq, snapshot.state_hash,
        )  # fmt: skip
        answer = Answer("", epoch, snapshot.seq, snapshot.state_hash, self._times)
        write(self._run / ANSWER_FILE, answer)

    async def _claim(self) -> tuple[int, int]:
        config = self._config
        connection = await database.connect(config.postgres_url)
        try:
            seen = await ownership.read(connection, config.shard)
            return await ownership.take_over(
                connection,
                config.shard,
                self._name,
                seen,
                self._copy.epoch,
                self._copy.synced,
                config.lease_ms,
            )
        finally:
            await connection.close()

    def _settle_sessions(self) -> None:
        """At gate `replicated` each session's store here knows every number that its peer has seen. At the others what
        the former owner sent last may be missing: its numbers are left out, and the peer gets a gap fill for them."""
        if self._config.gate == "replicated":
            return
        for folder in sorted({path.parent for path in (self._config.data_dir / STORES).rglob("*.fix")}):
            store = Store(folder, sync=True)
            store.skip(NUMBERS_SKIPPED)
            store.close()

    def _step(self, name: str) -> None:
        self._times[name] = (lease.boot_ns() - self._asked_ns) / 1e6

    def _refuse(self, why: str) -> None:
        _log.error("no take-over: %s", why)
        if self._request is not None:
            write(self._run / ANSWER_FILE, Answer(why))
        self._request = None
        self._link.was_handed_over = False


def main(config: Config, ready: Callable[[], None]) -> None:
    if taken_over(config) is not None:
        _log.warning(
            "this host has taken the shard over: it goes on as the owner; `tradewind up` is its start now"
        )
        return

    def stop(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)  # not 0: that is how this role says that the shard is ours

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    StandbyHost(config).run(ready)
