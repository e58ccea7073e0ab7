"""No ClOrdID is given to a venue twice: over restarts, lost tails, take-overs and new data folders."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from actors.shard import Lane
from core import ids
from core.records import ExecType
from tests.actors.desk import ShardDesk, order

DAY_NS = 86_400 * 10**9
NOW_NS = 1_795_000_000 * 10**9


class Life:
    """Shards that come one after another; `given`: every ClOrdID that any of them gave out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.given: list[str] = []
        self._lives = 0

    def lives(
        self, log_dir: str = "log", now_ns: int = NOW_NS, run_dir: str = "run", flush: bool = True
    ) -> None:
        """A shard on these folders takes four orders and dies. flush: what it wrote reached the disk."""
        self._lives += 1
        desk = ShardDesk(self.folder / log_dir, self.folder / run_dir, first_seq=ids.first_number(now_ns))
        if not desk.recovered.seq:
            desk.open_market()
        desk.quote()
        for number in range(4):
            assert desk.push(Lane.ORDERS_GATEWAY, order(f"life-{self._lives}-{number}"))
        desk.turn()
        if flush:
            desk.flusher.flush()
        names = [
            ids.cl_ord_id(0, event.order_id)
            for event in desk.events()
            if event.exec_type == ExecType.PENDING_NEW and event.text.startswith(f"life-{self._lives}-")
        ]
        assert len(names) == 4
        self.given += names
        desk.close()

    def all_differ(self) -> bool:
        return len(set(self.given)) == len(self.given)


def test_a_restarted_shard_gives_out_other_names(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for _ in range(3):
        life.lives()
    assert life.all_differ()


def test_names_of_a_lost_tail_are_not_given_out_again(tmp_path: Path) -> None:
    """At gate `written` a power cut takes what the disk had not yet; the venue has its orders."""
    life = Life(tmp_path)
    life.lives()
    for _ in range(2):
        life.lives(flush=False)
        shutil.rmtree(tmp_path / "run")
    life.lives()
    assert life.all_differ()


def test_who_takes_over_from_a_copy_of_the_log_gives_out_other_names(tmp_path: Path) -> None:
    """A follower has the log but for what its owner wrote last."""
    life = Life(tmp_path)
    life.lives()
    shutil.copytree(tmp_path / "log", tmp_path / "copy")
    life.lives(flush=False)
    life.lives("copy", run_dir="run of the copy")
    assert life.all_differ()


def test_a_new_data_folder_gives_the_same_venue_other_names(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.lives("first")
    for day in (1, 2, 300):
        life.lives(f"day {day}", NOW_NS + day * DAY_NS, f"run of day {day}")
    assert life.all_differ()


def test_a_name_fits_the_shortest_that_venues_take() -> None:
    """20 characters, at cboe-like and lmax-like, also of a cancel."""
    until_2027 = ids.first_number(1_798_761_600 * 10**9)
    assert len(ids.cancel_cl_ord_id(0, until_2027 - 1)) <= 20
    assert len(ids.replace_cl_ord_id(0, until_2027 - 1, 9)) <= 20


@given(st.integers(NOW_NS, NOW_NS + 10**19), st.integers(1, 10**18), st.integers(0, ids.NUMBERS_A_SECOND))
def test_a_log_that_is_not_faster_than_the_clock_stays_below_its_successor(
    born_ns: int, lived_ns: int, records_a_second: int
) -> None:
    written = lived_ns // 10**9 * records_a_second
    last = ids.first_number(born_ns) + written - 1
    assert last < ids.first_number(born_ns + lived_ns)
