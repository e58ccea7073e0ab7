"""Settings and stories of this room. No test asserts a time, so no example has a deadline."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.actors.desk import Desk, ShardDesk

settings.register_profile("tradewind", deadline=None)
settings.load_profile("tradewind")


@pytest.fixture
def a_desk(tmp_path: Path, run_dir: Path) -> Iterator[Desk]:
    """Empty tables and an empty log."""
    desk = Desk(tmp_path / "log", run_dir)
    yield desk
    desk.close()


@pytest.fixture
def a_funded_account(a_desk: Desk) -> Desk:
    """Account 1 with 1,000,000.00 of cash, and instrument 1 quoted 99.99 to 100.00."""
    a_desk.open_market()
    return a_desk


@pytest.fixture
def a_shard(tmp_path: Path, run_dir: Path) -> Iterator[ShardDesk]:
    """A recovered shard whose loop and flusher do not run: the test turns it by hand. Account and quote stand."""
    desk = ShardDesk(tmp_path / "log", run_dir)
    desk.open_market()
    yield desk
    desk.close()
