"""`tradewind admin` against a real shard: what a person asks is journaled, and answered by the shard."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.shard import Lane, Shard
from actors.tables import Capacity
from app.config import Config, load
from core import commands, units
from shared_mem.idle import Idle

PROGRAM = (sys.executable, "-m", "app.cli", "admin")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load({"data_dir": str(tmp_path / "data")})


@pytest.fixture
def a_shard(config: Config) -> Iterator[Shard]:
    """With one instrument."""
    shard = Shard(
        config.log_dir,
        config.run_dir,
        capacity=Capacity(16, 16, 64, 1024, groups=16, cash=16),
        idle=Idle(pauses=1, yields=1),
    )
    shard.recover()
    shard.start()
    define = commands.define_instrument(
        request_id=1, symbol="ACME", tick_e8=units.price_e8("0.01"), lot_e8=units.qty_e8(1),
        max_order_qty_e8=units.qty_e8(1000), collar_bps=500, quote_age_ms_max=1000,
    )  # fmt: skip
    assert shard.lanes[Lane.ADMIN].try_push(define)
    yield shard
    shard.stop()


def admin(config: Config, *words: str) -> subprocess.CompletedProcess[str]:
    program = (*PROGRAM[:3], "admin", "--data-dir", str(config.data_dir), *words)
    return subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)


def test_levels_accounts_and_settlement_days_are_asked_for_by_name(config: Config, a_shard: Shard) -> None:
    for words in (
        ("group", "Firm", "firm", "--max-open", "1000"),
        ("group", "House", "household", "--parent", "Firm"),
        ("open", "TW1", "--household", "House", "--settled-only"),
        ("pay", "TW1", "250.5"),
        ("pay", "TW1", "70", "--currency", "EUR"),
        ("settle-day", "2026-11-24"),
        ("session", "ACME", "auction"),
        ("reference", "ACME", "--close", "99.5"),
        ("group-state", "Firm", "reducing"),
    ):
        done = admin(config, *words)
        assert (done.returncode, done.stderr) == (0, ""), words
        assert done.stdout.startswith("done: ")
    account, instrument = a_shard.account(1), a_shard.instrument(1)
    assert account is not None
    assert instrument is not None
    assert {code: str(b.cash) for code, b in account.balances.items()} == {"USD": "250.5", "EUR": "70"}
    assert account.settled_only
    assert [(g.name, g.state) for g in account.groups] == [("House", "ACTIVE"), ("Firm", "REDUCING")]
    assert (instrument.session, str(instrument.previous_close)) == ("AUCTION", "99.5")
    shown = admin(config, "show", "account", "TW1")
    assert shown.stdout == f"{account!r}\n"


def test_a_refusal_is_told_as_the_shard_says_it(config: Config, a_shard: Shard) -> None:
    assert admin(config, "open", "TW1").returncode == 0
    refused = admin(config, "pay", "TW1", "--", "-1")
    assert refused.returncode == 1
    assert "withdrawal of 1 is over the free cash of 0 (code 405)" in refused.stderr


def test_what_is_not_there_is_named(config: Config, a_shard: Shard) -> None:
    assert "there is no account 'TW9'" in admin(config, "move", "TW9", "-").stderr
    assert "currency 'XXX' is not known" in admin(config, "open", "TW9", "--currency", "XXX").stderr


def test_without_a_shard_it_says_so(config: Config) -> None:
    refused = admin(config, "settle-day", "2026-11-24")
    assert refused.returncode == 1
    assert "no shard runs on" in refused.stderr
