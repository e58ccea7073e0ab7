"""The log gives the same state again, from its beginning or from a snapshot, and says where it does not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from actors.replay import ReplayDiverged, Replica
from actors.snapshot import (
    SNAPSHOT_VERSION,
    Snapshot,
    SnapshotError,
    read_file,
    restore,
    state_hash,
    take,
    write_file,
)
from actors.tables import Capacity
from core.records import ExecType
from core.units import qty_e8
from shared_mem import log
from shared_mem.atomics import crc32c
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader
from tests.actors.desk import CAPACITY, SEGMENT_BYTES, Desk, order


def trade_a_while(desk: Desk, orders: int, seed: int = 1) -> None:
    dice = random.Random(seed)
    for _ in range(orders):
        placed = desk.buy(dice.randrange(1, 20)) if dice.random() < 0.6 else desk.sell(dice.randrange(1, 5))
        if dice.random() < 0.3:
            desk.cancel(placed.order_id)
        desk.report(placed.order_id, ExecType.TRADE, qty_e8(1), placed.route_price_e8)
        if dice.random() < 0.9:
            desk.report(placed.order_id, dice.choice([ExecType.CANCELED, ExecType.EXPIRED]))


@pytest.fixture(autouse=True, params=["near", "far behind"])
def distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test twice: as the bytes come, and read ahead in small pieces."""
    if request.param == "far behind":
        monkeypatch.setattr("actors.replay.FAR_BEHIND", 1)
        monkeypatch.setattr("shared_mem.log_reader.RAW_BYTES_MAX", 2048)


def test_replay_over_segments_gives_the_same_state(a_funded_account: Desk) -> None:
    trade_a_while(a_funded_account, 400)
    assert a_funded_account.writer.position > SEGMENT_BYTES
    replica = a_funded_account.replica()
    assert state_hash(replica.state) == a_funded_account.hash()
    assert (replica.seq, replica.position) == (
        a_funded_account.writer.next_seq - 1,
        a_funded_account.writer.position,
    )


def test_a_replica_that_follows_in_steps_is_equal_at_each(a_funded_account: Desk) -> None:
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    reader = LogReader(a_funded_account.log_dir, a_funded_account.run_dir, Reader.AUDIT)
    for step in range(30):
        trade_a_while(a_funded_account, 1, step)
        replica.follow(reader)
        assert state_hash(replica.state) == a_funded_account.hash()
    assert replica.follow(reader) == a_funded_account.writer.next_seq - 1


def test_a_replica_fed_byte_by_byte_applies_whole_commands_only(a_funded_account: Desk) -> None:
    """What it is given may end anywhere; `advance` uses whole commands with all their events."""
    trade_a_while(a_funded_account, 5)
    reader = LogReader(a_funded_account.log_dir, a_funded_account.run_dir, Reader.AUDIT)
    raw = b""
    while piece := reader.raw_from(len(raw), reader.end_position()):
        raw += piece
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    at = 0
    for end in range(8, len(raw) + 1, 8):
        at += replica.advance(raw[at:end], at, end == len(raw))
    assert at == len(raw)
    assert state_hash(replica.state) == a_funded_account.hash()


def test_snapshot_and_tail_are_the_state(a_funded_account: Desk, tmp_path: Path) -> None:
    trade_a_while(a_funded_account, 30)
    write_file(tmp_path / "s", take(a_funded_account.state))
    trade_a_while(a_funded_account, 200, 2)
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    snapshot = read_file(tmp_path / "s")
    assert snapshot is not None
    restore(snapshot, replica.state)
    assert state_hash(replica.state) == snapshot.state_hash
    replica.follow(
        LogReader(a_funded_account.log_dir, a_funded_account.run_dir, Reader.AUDIT, replica.position)
    )
    assert state_hash(replica.state) == a_funded_account.hash()


def alter(desk: Desk, position: int, offset: int) -> None:
    """Change a byte of an event's payload in the tail, and make its checksum right again."""
    at = log.DATA + position % SEGMENT_BYTES
    view = desk.writer.tail.segment.view
    view[at + log.RECORD_HEADER_BYTES + offset] ^= 1
    total = int.from_bytes(view[at : at + 2], "little")
    kind = int.from_bytes(view[at + 2 : at + 4], "little")
    taken = (total + 7) & ~7
    crc = crc32c(desk.writer.tail.address + at + log.R_SEQ, taken - log.R_SEQ, total | kind << 16)
    view[at + log.R_CRC : at + log.R_CRC + 4] = (crc & 0xFFFFFFFF).to_bytes(4, "little")


def test_an_event_altered_with_a_right_checksum_is_found_with_its_place(a_funded_account: Desk) -> None:
    start = a_funded_account.writer.position
    a_funded_account.buy(10)
    event = LogReader(a_funded_account.log_dir, a_funded_account.run_dir, Reader.AUDIT, start).read()[1]
    a_funded_account.buy(10)
    alter(a_funded_account, event.position, 60)
    place = rf"0000000000\.log at offset {start} \(position {start}\)"
    with pytest.raises(ReplayDiverged, match=f"command in {place} gives other events"):
        a_funded_account.replica()
    alter(a_funded_account, event.position, 60)
    a_funded_account.replica()


def test_a_command_altered_with_a_right_checksum_is_found_too(a_funded_account: Desk) -> None:
    start = a_funded_account.writer.position
    a_funded_account.buy(10)
    alter(a_funded_account, start, 44)  # the quantity
    with pytest.raises(ReplayDiverged, match=rf"position {start}\)"):
        a_funded_account.replica()


@pytest.mark.parametrize("offset", [0, 20, 40])
def test_a_damaged_record_is_no_end_of_the_log(a_funded_account: Desk, offset: int) -> None:
    start = a_funded_account.writer.position
    a_funded_account.buy(10)
    view = a_funded_account.writer.tail.segment.view
    view[log.DATA + start + offset + (offset == 0)] ^= 0x40
    with pytest.raises(log.LogCorrupt, match=rf"at offset {start} \(position {start}\) is damaged; restore"):
        a_funded_account.replica()


@pytest.fixture
def a_snapshot(a_funded_account: Desk) -> Snapshot:
    trade_a_while(a_funded_account, 20)
    return take(a_funded_account.state)


def changed(snapshot: Snapshot, **values: object) -> Snapshot:
    fields = {name: getattr(snapshot, name) for name in Snapshot.__struct_fields__}
    return Snapshot(**{**fields, **values})


def test_a_snapshot_that_can_not_be_used_says_why(a_snapshot: Snapshot, tmp_path: Path) -> None:
    def refused(snapshot: Snapshot, text: str, capacity: Capacity = CAPACITY) -> None:
        with pytest.raises(SnapshotError, match=text):
            restore(snapshot, Replica(capacity, SEGMENT_BYTES).state)

    blobs = dict(a_snapshot.blobs)
    refused(
        changed(a_snapshot, version=99), f"has version 99, this program {SNAPSHOT_VERSION}: a newer program"
    )
    refused(
        changed(a_snapshot, version=0), f"has version 0, this program {SNAPSHOT_VERSION}: an older program"
    )
    refused(changed(a_snapshot, seq=a_snapshot.seq + 1), "says .* its state .*: it is damaged")
    refused(changed(a_snapshot, state_hash="0" * 16), "it says 0000000000000000: it is damaged")
    refused(
        changed(a_snapshot, blobs={k: v for k, v in blobs.items() if k != "orders"}), "part orders is missing"
    )
    refused(
        changed(a_snapshot, blobs={**blobs, "accounts": b"rubbish"}), "part accounts is missing or damaged"
    )
    refused(changed(a_snapshot, blobs={**blobs, "accounts": blobs["orders"]}), r"part accounts has \d+ bytes")
    refused(a_snapshot, r"has \d+ rows of orders; the table holds 2", Capacity(8, 8, 16, 2))
    (tmp_path / "cut").write_bytes(b"\x85")
    with pytest.raises(SnapshotError, match="cut is no snapshot"):
        read_file(tmp_path / "cut")
    assert read_file(tmp_path / "none") is None


def test_a_restored_state_finds_everything_by_its_indexes(a_funded_account: Desk) -> None:
    placed = a_funded_account.do(order("find me"))
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    restore(take(a_funded_account.state), replica.state)
    for name in a_funded_account.state._fields:
        if name.endswith("_index"):
            assert sorted(getattr(replica.state, name)) == sorted(getattr(a_funded_account.state, name))
    assert placed.reject_code == 0
