"""A damaged snapshot is refused by name, and the next best is used: an older one, or the log from its beginning.

One that stands behind the log's end, or that another log or shard made, is never built on.
"""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.recovery import LogCutShort, NothingToBeginFrom, Offer, reason_to_refuse
from actors.replay import Replica
from actors.shard import Recovered, Shard
from actors.snapshot import Snapshot, SnapshotError, check, read_file, restore, state_hash, take, write_file
from actors.tables import R_POSITION
from shared_mem import log
from shared_mem.log_folder import VersionUnreadable
from tests.actors.desk import CAPACITY, SEGMENT_BYTES, Desk, deposit, instrument
from tests.actors.test_replay import trade_a_while
from tests.faults.damage import flipped
from tests.shared_mem.desk import contents, flip

SEED = 20261124
HEADER_BYTES = 24
INT64 = 63


@pytest.fixture
def a_traded_desk(run_dir: Path) -> Iterator[Desk]:
    """Its log is in memory, where a sync costs nothing."""
    desk = Desk(run_dir / "log", run_dir)
    desk.open_market()
    trade_a_while(desk, 20)
    yield desk
    desk.close()


def offer(snapshot: Snapshot, where: str = "a place") -> Offer:
    return Offer(where, snapshot.epoch, snapshot.seq, snapshot.log_position, lambda: snapshot)


def changed(snapshot: Snapshot, **values: object) -> Snapshot:
    return Snapshot(**{**{name: getattr(snapshot, name) for name in Snapshot.__struct_fields__}, **values})


def recovered(desk: Desk, *offers: Offer, keep_tail: bool = False, taken_over: int = 0) -> Recovered:
    """By a whole shard, from what is offered and the log's files."""
    desk.flusher.flush()
    if not keep_tail:
        log.tail_path(desk.run_dir).unlink(missing_ok=True)
    shard = Shard(desk.log_dir, desk.run_dir, capacity=CAPACITY, segment_bytes=SEGMENT_BYTES)
    found = shard.recover(offers, taken_over=taken_over)
    shard.writer.close()
    shard._bell.close()
    return found


# -- bits --------------------------------------------------------------------------------------------------------------


def refused(path: Path, whole: bytes, bits: Iterator[int] | range | list[int]) -> int:
    count = 0
    for bit in bits:
        path.write_bytes(flipped(whole, bit))
        with pytest.raises(SnapshotError):
            read_file(path)
        count += 1
    path.write_bytes(whole)
    assert read_file(path) is not None
    return count


def a_file(desk: Desk, folder: Path) -> tuple[Path, bytes]:
    path = folder / "a.snapshot"
    write_file(path, take(desk.state))
    return path, path.read_bytes()


def test_a_bit_flipped_in_a_snapshots_file_is_seen(a_traded_desk: Desk) -> None:
    path, whole = a_file(a_traded_desk, a_traded_desk.run_dir)
    names = whole.index(b"blobs") * 8
    sampled = random.Random(SEED).sample(range(8 * len(whole)), 1500)
    assert refused(path, whole, [*range(names), *sampled]) > 8 * HEADER_BYTES + 1500


@pytest.mark.faults
def test_every_bit_flipped_in_a_snapshots_file_is_seen(a_traded_desk: Desk) -> None:
    path, whole = a_file(a_traded_desk, a_traded_desk.run_dir)
    assert refused(path, whole, range(8 * len(whole))) == 8 * len(whole)


def test_a_snapshots_file_cut_anywhere_is_seen(a_traded_desk: Desk) -> None:
    path, whole = a_file(a_traded_desk, a_traded_desk.run_dir)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(SnapshotError):
            read_file(path)


def a_wrong_name(snapshot: Snapshot) -> Iterator[Snapshot]:
    for field in ("epoch", "seq", "log_position"):
        for bit in range(INT64):
            yield changed(snapshot, **{field: getattr(snapshot, field) ^ 1 << bit})
    for bit in range(4 * 16):
        wrong = bytearray(bytes.fromhex(snapshot.state_hash))
        wrong[bit // 8] ^= 1 << bit % 8
        yield changed(snapshot, state_hash=wrong.hex())
    for bit in range(31):
        yield changed(snapshot, version=snapshot.version ^ 1 << bit)


def test_a_bit_flipped_in_what_a_snapshot_says_of_itself_is_seen(a_traded_desk: Desk) -> None:
    """As a row of Postgres has it, which no checksum covers."""
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    for wrong in a_wrong_name(take(a_traded_desk.state)):
        with pytest.raises(SnapshotError):
            check(wrong)
        with pytest.raises(SnapshotError):
            restore(wrong, replica.state)


def never_wrong(snapshot: Snapshot, name: str, bits: Iterator[int] | range | list[int]) -> None:
    """The blob's own compression and the state's hash, without the checksum that Postgres keeps a chunk."""
    blob = snapshot.blobs[name]
    for bit in bits:
        damaged = changed(snapshot, blobs={**snapshot.blobs, name: flipped(blob, bit)})
        state = Replica(CAPACITY, SEGMENT_BYTES).state
        try:
            restore(damaged, state)
        except SnapshotError:
            continue
        assert state_hash(state) == snapshot.state_hash, "a bit of the compression that says nothing"


def test_a_bit_flipped_in_a_snapshots_blob_never_gives_another_state(a_traded_desk: Desk) -> None:
    snapshot, dice = take(a_traded_desk.state), random.Random(SEED)
    for name in ("registers", "accounts", "orders", "executions", "tick_tables"):
        never_wrong(snapshot, name, dice.sample(range(8 * len(snapshot.blobs[name])), 40))


@pytest.mark.faults
def test_every_bit_flipped_in_a_snapshots_blobs_never_gives_another_state(a_traded_desk: Desk) -> None:
    snapshot = take(a_traded_desk.state)
    for name, blob in snapshot.blobs.items():
        never_wrong(snapshot, name, range(8 * len(blob)))


# -- which one is used -------------------------------------------------------------------------------------------------


class Stored:
    """Two snapshots of one desk, an older and a newer, and the desk's state behind both."""

    def __init__(self, desk: Desk) -> None:
        self.older = take(desk.state)
        trade_a_while(desk, 10, 2)
        self.newer = take(desk.state)
        trade_a_while(desk, 10, 3)
        self.hash = desk.hash()


@pytest.fixture
def stored(a_traded_desk: Desk) -> Stored:
    return Stored(a_traded_desk)


def damaged(snapshot: Snapshot) -> Snapshot:
    return changed(snapshot, state_hash="0" * 16)


def test_the_newest_that_is_whole_is_used_and_the_rest_is_told(
    a_traded_desk: Desk, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    older, newer = offer(stored.older, "the cellar"), offer(stored.newer, "the attic")
    for offers, begins_at, told in (
        ((older, newer), stored.newer.seq, []),
        ((older, offer(damaged(stored.newer), "the attic")), stored.older.seq, ["the attic"]),
        ((offer(damaged(stored.older), "the cellar"), newer), stored.newer.seq, []),
        (
            (offer(damaged(stored.older), "the cellar"), offer(damaged(stored.newer), "the attic")),
            0,
            ["the attic", "the cellar"],
        ),
        ((), 0, []),
    ):
        caplog.clear()
        found = recovered(a_traded_desk, *offers)
        assert (found.snapshot_seq, found.state_hash) == (begins_at, stored.hash)
        lines = [record.getMessage() for record in caplog.records]
        assert len(lines) == len(told)
        for line, place in zip(lines, told, strict=True):
            assert f"in {place} is refused" in line
            assert "it is damaged" in line


def test_a_snapshot_of_another_version_is_refused_by_its_version(a_traded_desk: Desk, stored: Stored) -> None:
    newer = offer(changed(stored.newer, version=stored.newer.version + 1))
    assert recovered(a_traded_desk, newer, offer(stored.older)).snapshot_seq == stored.older.seq
    reason = reason_to_refuse(newer)
    assert reason is not None
    assert (
        f"has version {stored.newer.version + 1}, this program {stored.newer.version}: a newer program"
        in reason
    )


def test_a_snapshot_of_another_log_is_refused(
    a_traded_desk: Desk, stored: Stored, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of another shard or desk, at a place where this log has a record's end too."""
    other = Desk(tmp_path / "other", tmp_path / "other-run")
    other.open_market()
    trade_a_while(other, 25, 99)
    foreign = take(other.state)
    other.close()
    assert foreign.log_position < stored.newer.log_position
    found = recovered(a_traded_desk, offer(stored.older), offer(changed(foreign, epoch=99)), offer(foreign))
    assert (found.snapshot_seq, found.state_hash) == (stored.older.seq, stored.hash)
    assert "it is of another log" in caplog.text


def test_a_snapshot_behind_the_logs_end_halts_and_nothing_is_cut(a_traded_desk: Desk, stored: Stored) -> None:
    """The last record rotted after it had been on disk: no later record proves it, but the snapshot does."""
    a_traded_desk.flusher.flush()
    last = take(a_traded_desk.state)
    flip(log.segment_path(a_traded_desk.log_dir, 0), last.log_position - 30)
    before = contents(a_traded_desk.log_dir)
    with pytest.raises(
        LogCutShort, match=rf"snapshot at seq {last.seq} in the attic stands at .*Nothing was"
    ):
        recovered(a_traded_desk, offer(stored.newer), offer(last, "the attic"))
    assert contents(a_traded_desk.log_dir) == before


def test_a_damaged_snapshot_behind_the_logs_end_proves_nothing(a_traded_desk: Desk, stored: Stored) -> None:
    wild = changed(stored.newer, log_position=1 << 40, seq=1 << 30)
    found = recovered(a_traded_desk, offer(wild), offer(stored.older))
    assert (found.snapshot_seq, found.state_hash) == (stored.older.seq, stored.hash)


def test_a_snapshot_that_a_later_owner_went_on_without_is_refused(
    a_traded_desk: Desk, stored: Stored
) -> None:
    """It stands behind the end of a log that has gone on in a later epoch: somebody decided that."""
    end = take(a_traded_desk.state)
    ahead = changed_registers(end, log_position=end.log_position + 1000)
    with pytest.raises(LogCutShort):
        recovered(a_traded_desk, offer(ahead))
    shard = Shard(
        a_traded_desk.log_dir, a_traded_desk.run_dir, capacity=CAPACITY, segment_bytes=SEGMENT_BYTES
    )
    shard.recover(epoch=7)
    shard.writer.close()
    shard._bell.close()
    assert recovered(a_traded_desk, offer(ahead), keep_tail=True).state_hash == stored.hash


def test_what_an_owner_had_beyond_a_take_over_is_given_up(a_traded_desk: Desk, stored: Stored) -> None:
    """A standby whose copy ended earlier has taken the log over; the former owner's snapshot is in Postgres."""
    ahead = changed_registers(take(a_traded_desk.state), log_position=a_traded_desk.writer.position + 1000)
    found = recovered(a_traded_desk, offer(ahead), offer(stored.newer), taken_over=ahead.epoch + 1)
    assert (found.snapshot_seq, found.state_hash) == (stored.newer.seq, stored.hash)


def changed_registers(snapshot: Snapshot, *, log_position: int) -> Snapshot:
    """A whole snapshot of a log that is longer."""
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    restore(snapshot, replica.state)
    replica.state.registers[R_POSITION] = log_position
    return take(replica.state)


# -- what retention has left -------------------------------------------------------------------------------------------


@pytest.fixture
def a_trimmed_desk(a_traded_desk: Desk, stored: Stored) -> tuple[Desk, Snapshot]:
    """Its first segment was let go, and the snapshot for which it was; those that were stored before are of no use."""
    desk = a_traded_desk
    while desk.writer.position < SEGMENT_BYTES + 5000:
        desk.do(deposit(1, reference="x" * 100))
    snapshot = take(desk.state)
    trade_a_while(desk, 5, 4)
    desk.flusher.flush()
    log.segment_path(desk.log_dir, 0).unlink()
    return desk, snapshot


def test_a_trimmed_log_needs_its_snapshot(a_trimmed_desk: tuple[Desk, Snapshot], stored: Stored) -> None:
    desk, snapshot = a_trimmed_desk
    assert recovered(desk, offer(stored.older), offer(snapshot)).state_hash == desk.hash()
    with pytest.raises(
        NothingToBeginFrom,
        match=rf"begins at position {SEGMENT_BYTES}, .*in the attic is refused: .* damaged.*Restore a snapshot",
    ):
        recovered(desk, offer(damaged(snapshot), "the attic"))
    with pytest.raises(NothingToBeginFrom, match=f"is kept from {SEGMENT_BYTES} on"):
        recovered(desk, offer(stored.older))
    with pytest.raises(NothingToBeginFrom, match="there is none"):
        recovered(desk)


def test_a_log_of_which_no_record_is_left_is_numbered_on(a_traded_desk: Desk) -> None:
    """The snapshot stands at a segment's very end, all before it was let go, and the tail is lost."""
    desk = a_traded_desk
    fill_the_segment(desk)
    assert desk.writer.position == SEGMENT_BYTES
    desk.flusher.flush()
    snapshot = take(desk.state)
    log.segment_path(desk.log_dir, 0).unlink()
    log.tail_path(desk.run_dir).unlink()
    shard = Shard(desk.log_dir, desk.run_dir, capacity=CAPACITY, segment_bytes=SEGMENT_BYTES)
    shard.recover([offer(snapshot)])
    assert shard.writer.next_seq > snapshot.seq + 1
    assert shard.writer.tail.epoch > snapshot.epoch
    shard.writer.close()
    shard._bell.close()


def fill_the_segment(desk: Desk) -> None:
    """To its last byte."""
    sizes: dict[int, bytes] = {}
    makers = [deposit(1, reference="x" * n) for n in range(0, 121, 8)]
    makers += [instrument("S" * n) for n in (1, 9, 17)]
    while (left := SEGMENT_BYTES - desk.writer.position) > 8000:
        raw = makers[left % len(makers)]
        before = desk.writer.position
        desk.do(raw)
        sizes[desk.writer.position - before] = raw
    for chosen in itertools.combinations_with_replacement(sorted(sizes), (left - 1) // max(sizes) + 3):
        if sum(chosen) == left:
            for size in chosen:
                desk.do(sizes[size])
            return
    raise AssertionError(f"{sorted(sizes)} do not make {left}")


# -- versions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "age"), [(2, "an older"), (4, "a newer")])
def test_a_log_in_another_version_is_refused_and_left_alone(
    a_traded_desk: Desk, version: int, age: str
) -> None:
    (a_traded_desk.log_dir / "log.format").write_text(f"log {version}\nrecords 1\n")
    a_traded_desk.flusher.flush()
    before = contents(a_traded_desk.log_dir)
    with pytest.raises(
        VersionUnreadable,
        match=rf"written in version {version} of 'log', and this program reads version {log.VERSION}: {age} program",
    ):
        recovered(a_traded_desk)
    assert contents(a_traded_desk.log_dir) == before


@pytest.mark.parametrize("version", [0, 2])
def test_records_in_another_version_are_refused(a_traded_desk: Desk, version: int) -> None:
    (a_traded_desk.log_dir / "log.format").write_text(f"log {log.VERSION}\nrecords {version}\n")
    with pytest.raises(
        VersionUnreadable, match=f"version {version} of 'records', and this program reads version 1"
    ):
        recovered(a_traded_desk)


def test_a_folder_from_before_versions_were_kept_is_read_and_says_its_own_from_then_on(
    a_traded_desk: Desk,
) -> None:
    (a_traded_desk.log_dir / "log.format").unlink()
    assert recovered(a_traded_desk).state_hash == a_traded_desk.hash()
    assert (a_traded_desk.log_dir / "log.format").read_text() == f"log {log.VERSION}\nrecords 1\n"


def test_a_damaged_version_file_is_named(a_traded_desk: Desk) -> None:
    (a_traded_desk.log_dir / "log.format").write_text("log three")
    with pytest.raises(log.LogError, match=r"log\.format is damaged; restore it"):
        recovered(a_traded_desk)


# -- a folder that was put back ----------------------------------------------------------------------------------------


def test_an_older_copy_of_the_files_beside_a_living_tail_halts(a_traded_desk: Desk, tmp_path: Path) -> None:
    desk = a_traded_desk
    desk.flusher.flush()
    shutil.copytree(desk.log_dir, tmp_path / "copy")
    trade_a_while(desk, 5, 7)
    desk.flusher.flush()
    end = desk.hash()
    shutil.copytree(desk.log_dir, tmp_path / "newest")
    shutil.copytree(tmp_path / "copy", desk.log_dir, dirs_exist_ok=True)
    with pytest.raises(
        log.LogCorrupt, match=r"does not hold what was synced before .*log\.tail: then the log goes on"
    ):
        recovered(desk, keep_tail=True)
    shutil.copytree(tmp_path / "newest", desk.log_dir, dirs_exist_ok=True)
    assert recovered(desk, keep_tail=True).state_hash == end
