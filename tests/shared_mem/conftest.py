"""Settings and stories of this room. No test asserts a time, so no example has a deadline."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.shared_mem.desk import LogDesk

settings.register_profile("tradewind", deadline=None)
settings.load_profile("tradewind")


@pytest.fixture
def a_log(tmp_path: Path, run_dir: Path) -> Iterator[LogDesk]:
    """An empty log, open for its writer, whose flusher runs when it is told."""
    desk = LogDesk(tmp_path, run_dir)
    yield desk
    desk.close()


@pytest.fixture
def a_synced_log(a_log: LogDesk) -> LogDesk:
    """Ten groups, each of them synced before the next was written."""
    for number in range(10):
        a_log.write(b"group %d" % number)
        a_log.flush()
    return a_log
