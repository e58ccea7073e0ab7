"""`tradewind admin account-state` on a running shard, one command at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.view import StateView
from app import cli
from app.admin import alone
from app.config import Config, load
from core.records import AccountState
from tests.gateways.conftest import Market, RunningShard


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    """A shard with the account TW000001 runs on it."""
    config = load({"data_dir": str(tmp_path / "data")}, {}, tmp_path)
    shard = RunningShard(config.log_dir, config.run_dir)
    shard.start()
    market = Market(config.run_dir)
    market.open_account("TW000001", "100")
    yield config
    market.bell.close()
    shard.stop()
    for path in config.run_dir.iterdir():
        path.unlink()
    config.run_dir.rmdir()


def set_state(config: Config, number: str, state: str) -> int:
    return cli.main(["admin", "--data-dir", str(config.data_dir), "account-state", number, state])


def state_of(config: Config) -> int:
    found = StateView.attach(config.run_dir).account_by_text("TW000001")
    assert found is not None
    return found.state


def test_an_account_is_set_reducing_and_active_again(config: Config) -> None:
    for word, state in (("reducing", AccountState.REDUCING), ("active", AccountState.ACTIVE)):
        assert set_state(config, "TW000001", word) == 0
        assert state_of(config) == state


def test_an_account_that_there_is_not_is_one_line(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    assert set_state(config, "TW9", "active") == 1
    assert "there is no account 'TW9'" in capsys.readouterr().err


def test_the_lane_has_one_producer_at_a_time(config: Config) -> None:
    done = threading.Event()

    def ask() -> None:
        set_state(config, "TW000001", "halted")
        done.set()

    with alone(config):
        asking = threading.Thread(target=ask)
        asking.start()
        assert not done.wait(0.3)
    asking.join()
    assert state_of(config) == AccountState.HALTED
