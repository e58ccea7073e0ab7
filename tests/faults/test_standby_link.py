"""The link between an owner and its standby, on bad days: torn, cut, flipped, the wrong one, far behind, killed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.snapshot import state_hash
from app.config import run_dir_of
from services.standby.copy_of_owner import Diverged
from services.standby.messages import LinkRefused
from shared_mem import log
from shared_mem.log import Gate, Reader, segment_numbers, segment_path, tail_path
from shared_mem.log_reader import LogReader
from tests.faults.links import Owner, Relay, StandbyHost

MakeOwner = Callable[..., Owner]
MakeStandby = Callable[..., StandbyHost]


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Callable[[str], tuple[Path, Path]]]:
    made: list[Path] = []

    def make(name: str) -> tuple[Path, Path]:
        data_dir = tmp_path / name
        run_dir = run_dir_of(data_dir)
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        made.append(run_dir)
        return data_dir, run_dir

    yield make
    for run_dir in made:
        shutil.rmtree(run_dir, ignore_errors=True)


@pytest.fixture
def make_owner(folders: Callable[[str], tuple[Path, Path]]) -> Iterator[MakeOwner]:
    made: list[Owner] = []

    def make(**terms: object) -> Owner:
        owner = Owner(*folders(f"owner{len(made)}"), **terms)  # type: ignore[arg-type]
        made.append(owner)
        return owner

    yield make
    for owner in made:
        owner.close()


@pytest.fixture
def make_standby(folders: Callable[[str], tuple[Path, Path]]) -> Iterator[MakeStandby]:
    made: list[StandbyHost] = []

    def make(port: int, name: str = "standby", **changes: object) -> StandbyHost:
        standby = StandbyHost(*folders(name), port, **changes)  # type: ignore[arg-type]
        made.append(standby)
        return standby

    yield make
    for standby in made:
        standby.close()


def assert_same(owner: Owner, standby: StandbyHost) -> None:
    """Files byte for byte, state by hash, and what a replica of the standby's own log comes to."""
    end = owner.tail.synced
    assert standby.copy.synced == end
    for number in segment_numbers(owner.log_dir):
        length = min(log.SEGMENT_BYTES_MIN, end - number * log.SEGMENT_BYTES_MIN)
        ours = segment_path(owner.log_dir, number).read_bytes()[:length]
        assert ours == segment_path(standby.log_dir, number).read_bytes()[:length]
    replayed = standby.replayed()
    assert state_hash(replayed.replica.state) == owner.hash() == standby.copy.hash()


def test_a_standby_has_the_log_byte_for_byte_and_the_same_state(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner()
    standby = make_standby(owner.port)
    standby.catch_up(owner)
    for _ in range(5):
        owner.trade(300)  # some segments of 256 KiB
        standby.catch_up(owner)
    owner.wait_until_replicated()
    assert_same(owner, standby)


def test_hashes_are_compared_at_the_same_places_of_the_log(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner()
    owner.desk.out.pen[2] += 30 * 10**9  # the next mark's time has come
    owner.trade()
    owner.tell_marks()
    standby = make_standby(owner.port)
    standby.follow(lambda: standby.copy.marks_compared > 0)


def test_a_different_state_stops_the_standby_and_names_the_place(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner()
    owner.desk.out.pen[2] += 30 * 10**9
    owner.trade()
    owner.tell_marks(flip=True)
    standby = make_standby(owner.port)
    with pytest.raises(Diverged, match=r"the state after record \d+, at position \d+ of the log, has hash"):
        standby.follow(lambda: False)
    owner.wait_for(lambda: owner.status().state == "diverged")
    assert "hash" in owner.status().detail


def test_a_memory_that_rots_on_the_standby_is_found_by_the_next_event(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner()
    standby = make_standby(owner.port)
    standby.catch_up(owner)
    standby.copy.state.accounts[0]["reserved_e6"] += 1
    owner.trade(1)
    with pytest.raises(Diverged, match="gives other events than the log has"):
        standby.follow(lambda: False)


def test_the_gate_replicated_opens_when_the_standby_has_it_on_disk(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner(is_awaited=True)
    gated = LogReader(owner.log_dir, owner.run_dir, Reader.GATEWAY, 0, Gate.REPLICATED)
    owner.trade(3)
    assert gated.read() == []
    standby = make_standby(owner.port)
    standby.catch_up(owner)
    owner.wait_until_replicated()
    seen = [record for _ in range(9) for record in gated.read()]
    assert seen[-1].next_position == owner.tail.synced
    gated.close()


def test_an_absent_standby_is_told_to_the_shard_and_orders_are_refused(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner(is_awaited=True, away_ms=200)
    standby = make_standby(owner.port)
    standby.follow(lambda: owner.tail.word(log.STANDBY_UNTIL) > 0 and not owner.standby_is_away())
    owner.wait_for(owner.standby_is_away)
    owner.wait_for(lambda: owner.status().state == "away")
    assert "rejected" in owner.status().detail


def test_a_degraded_gate_stands_at_synced_with_an_alarm_and_goes_back(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner(is_awaited=True, degrades=True, away_ms=200)
    owner.wait_for(lambda: owner.tail.word(log.DEGRADED) == 1)
    owner.trade(3)
    assert owner.tail.reached(Gate.REPLICATED) == owner.tail.synced
    assert "WITHOUT IT" in owner.status().detail
    standby = make_standby(owner.port)
    standby.follow(lambda: owner.tail.word(log.DEGRADED) == 0)
    owner.trade(3)
    assert owner.tail.reached(Gate.REPLICATED) < owner.tail.synced


def test_a_bit_flipped_on_the_wire_breaks_the_link_and_never_reaches_the_log(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner()
    owner.trade(200)
    chance = random.Random(7)
    flips = [6]

    def flip(piece: bytes) -> bytes:
        if flips[0] and len(piece) > 64 and chance.random() < 0.3:
            flips[0] -= 1
            at = chance.randrange(len(piece))
            return piece[:at] + bytes([piece[at] ^ 1 << chance.randrange(8)]) + piece[at + 1 :]
        return piece

    relay = Relay(owner.port, flip)
    standby = make_standby(relay.port)
    standby.catch_up(owner)
    assert flips[0] < 6
    assert_same(owner, standby)
    relay.close()


def test_a_torn_link_goes_on_where_the_copy_ends(make_owner: MakeOwner, make_standby: MakeStandby) -> None:
    owner = make_owner()
    owner.trade(300)
    chance = random.Random(11)
    cuts = [8]

    def cut(piece: bytes) -> bytes | None:
        if cuts[0] and chance.random() < 0.2:
            cuts[0] -= 1
            return None
        return piece

    relay = Relay(owner.port, cut)
    standby = make_standby(relay.port)
    standby.catch_up(owner)
    assert cuts[0] < 8
    assert_same(owner, standby)
    relay.close()


def test_a_standby_killed_and_started_again_goes_on(
    make_owner: MakeOwner, folders: Callable[[str], tuple[Path, Path]]
) -> None:
    owner = make_owner()
    for _ in range(4):
        standby = StandbyHost(*folders("standby"), owner.port)
        owner.trade(100)
        standby.catch_up(owner)
        # Left as a kill -9 leaves it: nothing closed, nothing said.
    standby = StandbyHost(*folders("standby"), owner.port)
    assert_same(owner, standby)
    standby.close()


def test_a_standby_that_was_rebooted_goes_on_from_its_files(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner()
    standby = make_standby(owner.port)
    owner.trade(100)
    standby.catch_up(owner)
    standby.close()
    tail_path(standby.run_dir).unlink()
    again = make_standby(owner.port)
    owner.trade(100)
    again.catch_up(owner)
    assert_same(owner, again)


def test_a_copy_of_another_log_is_refused(make_owner: MakeOwner, make_standby: MakeStandby) -> None:
    one, other = make_owner(), make_owner()
    standby = make_standby(one.port)
    standby.catch_up(one)
    standby.close()
    with pytest.raises(LinkRefused, match=r"its copy is of log \d+"):
        make_standby(other.port).follow(lambda: False)
    other.wait_for(lambda: other.status().state == "refused")


def test_a_copy_whose_history_parted_is_refused(
    make_owner: MakeOwner, make_standby: MakeStandby, folders: Callable[[str], tuple[Path, Path]]
) -> None:
    owner = make_owner()
    standby = make_standby(owner.port)
    standby.catch_up(owner)
    owner.trade(10)
    standby.catch_up(owner)
    standby.close()
    log_id = (owner.log_dir / "log.id").read_text()
    parted = Owner(*folders("parted"), log_id=log_id, first_cash=5)
    parted.trade(10)
    with pytest.raises(LinkRefused, match="their histories parted"):
        make_standby(parted.port).follow(lambda: False)
    parted.close()


def test_a_copy_that_is_ahead_is_refused_for_its_owner_lost_something(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner()
    standby = make_standby(owner.port)
    owner.trade(10)
    standby.catch_up(owner)
    standby.close()
    owner.tail.set_word(log.SYNCED, owner.tail.synced - 8)
    with pytest.raises(LinkRefused, match="let the standby take over"):
        make_standby(owner.port).follow(lambda: False)
    owner.tail.set_word(log.SYNCED, owner.tail.written)


def test_another_shard_and_another_key_are_not_let_in(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner()
    with pytest.raises(LinkRefused, match="of shard 7"):
        make_standby(owner.port, "other", shard=7).follow(lambda: False)
    stranger = make_standby(owner.port, "stranger", key=b"not the key of this desk")
    with pytest.raises(AssertionError, match="never came to that"):
        stranger.follow(lambda: False, patience_s=1.0)
    assert stranger.copy.log_id == 0


def test_a_standby_that_is_too_far_behind_begins_with_a_snapshot(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner()
    for _ in range(4):
        owner.trade(400)
    owner.store_snapshot()
    owner.trade(10)
    segment_path(owner.log_dir, 0).unlink()
    standby = make_standby(owner.port)
    standby.catch_up(owner)
    assert standby.copy.hash() == owner.hash()
    assert segment_numbers(standby.log_dir)[0] > 0


def test_the_sessions_files_come_over_whole_and_are_no_other_names(
    make_owner: MakeOwner, make_standby: MakeStandby
) -> None:
    owner = make_owner()
    (owner.data_dir / "credentials.json").write_text("{}")
    standby = make_standby(owner.port)
    standby.follow(lambda: (standby.data_dir / "credentials.json").exists())
    (owner.data_dir / "credentials.json").write_text('{"more": 1}')
    standby.follow(lambda: "more" in (standby.data_dir / "credentials.json").read_text())


def test_a_slow_standby_is_waited_for_by_retention_up_to_a_bound(
    make_owner: MakeOwner, make_standby: MakeStandby, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared_mem import retention

    owner = make_owner()
    standby = make_standby(owner.port)
    standby.catch_up(owner)
    owner.wait_for(lambda: "cursor standby" in [h.name for h in owner.holders()])
    owner.trade(300)
    assert "cursor standby" in [h.name for h in owner.holders()]
    monkeypatch.setattr(retention, "STANDBY_BYTES_MAX", 100)
    assert "cursor standby" not in [h.name for h in owner.holders()]
