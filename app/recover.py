"""`tradewind recover --dry-run`: what a start would do, without a change to anything and without a start.

It looks at the snapshots in both places, at where the log begins and ends, at what a torn tail would lose, and replays:
so a person knows before the start whether it would come up, from what, and to which state; and where it would halt,
which ways out there are.

Always holds: nothing is written, no reader stands in the log, no server is started. Beside a running desk it tells
what a start would find if everything were killed at the moment of the look.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from actors.recovery import Offer, begin, is_not_cut_short, newest_first, reason_to_refuse
from actors.replay import Replica
from actors.snapshot import state_hash
from actors.tables import R_COMMANDS, Capacity, private_state
from app import lock
from app.config import Config
from app.faults import StackError
from app.log_tool import segment_bytes_of
from app.ownership import taken_over
from app.stored_snapshots import all_offers
from core.records import RECORDS_VERSION
from shared_mem import log
from shared_mem.log import LogCorrupt, LogError, segment_numbers, segment_path
from shared_mem.log_folder import readable
from shared_mem.log_recovery import End, find_end
from shared_mem.log_view import LogView, living_tail

EXIT_HALTS: Final = 1


class SnapshotFound(msgspec.Struct):
    """One stored snapshot; refused: why it would not be used, "" when it could."""

    where: str
    epoch: int
    seq: int
    log_position: int
    refused: str


class LogFound(msgspec.Struct):
    """The log as a start would find it. in_memory: its tail is there, so nothing that was written is lost."""

    segments: int
    first_position: int
    end_position: int
    last_seq: int
    epoch: int
    in_memory: bool
    torn_bytes: int
    torn_records: int


class Findings(msgspec.Struct):
    data_dir: str
    running: bool
    snapshots: list[SnapshotFound]
    troubles: list[str]
    halts: str = ""  # why a start would; "" when it would not
    ways_out: list[str] = msgspec.field(default_factory=list)
    log: LogFound | None = None
    begins_at_seq: int = 0
    begins_from: str = ""
    commands: int = 0
    seq: int = 0
    state_hash: str = ""
    seconds: float = 0.0


class _Ground(NamedTuple):
    """What a recovery stands on."""

    view: LogView
    found: LogFound


def act(config: Config, words: argparse.Namespace) -> int:
    """Exit code 0 when a start would come up, else 1. Raises StackError."""
    if not words.dry_run:
        raise StackError(
            "a start recovers by itself: `tradewind up`. `tradewind recover --dry-run` tells what it would do, without "
            "changing anything"
        )
    findings = examine(config)
    if words.json:
        print(msgspec.json.encode(findings).decode())
    else:
        print("\n".join(lines(findings)))
    return EXIT_HALTS if findings.halts else 0


def examine(config: Config, capacity: Capacity | None = None) -> Findings:
    """All of it. capacity: of the tables, a shard's own unless a test has smaller ones. Raises StackError."""
    if not segment_numbers(config.log_dir):
        raise StackError(f"no log in {config.log_dir}; start a stack, or give --data-dir")
    places = all_offers(config)
    findings = Findings(str(config.data_dir), lock.is_held(config), [], places.troubles)
    ground: _Ground | None = None
    try:
        ground = _ground(config, places.offers)
        findings.log = ground.found
        _replay(findings, ground.view, places.offers, capacity or Capacity())
    except LogError as error:
        findings.halts = str(error)
        findings.ways_out = _ways_out(config, error, places.offers)
    for offer in newest_first(places.offers):
        refused = reason_to_refuse(offer, ground.view if ground else None)
        findings.snapshots.append(
            SnapshotFound(offer.where, offer.epoch, offer.seq, offer.log_position, refused or "")
        )
    return findings


def _ground(config: Config, offers: list[Offer]) -> _Ground:
    readable(config.log_dir, log.LAYOUT, log.VERSION)
    readable(config.log_dir, "records", RECORDS_VERSION)
    tail = living_tail(config.log_dir, config.run_dir)
    if tail is not None:
        size = tail.segment_bytes
        end = End(tail.written, tail.written_seq + 1, tail.epoch, tail.synced, 0, 0)
    else:
        size = segment_bytes_of(config.log_dir)
        end = find_end(config.log_dir, size)
    taken = taken_over(config)
    epoch = max(end.epoch, taken.epoch if taken else 0)
    is_not_cut_short(offers, config.log_dir, end.position, epoch, size)
    view = LogView(config.log_dir, size, end.position, tail)
    return _Ground(
        view,
        LogFound(
            segments=len(segment_numbers(config.log_dir)),
            first_position=view.first,
            end_position=end.position,
            last_seq=end.next_seq - 1,
            epoch=end.epoch,
            in_memory=tail is not None,
            torn_bytes=end.torn_bytes,
            torn_records=end.torn_records,
        ),
    )


def _replay(findings: Findings, view: LogView, offers: list[Offer], capacity: Capacity) -> None:
    began_s = time.perf_counter()
    begun = begin(offers, lambda: private_state(capacity), view)
    replica = Replica(capacity, view.segment_bytes, begun.state)
    before = int(begun.state.registers[R_COMMANDS])
    bring(replica, view)
    findings.begins_at_seq = begun.offer.seq if begun.offer else 0
    findings.begins_from = begun.offer.where if begun.offer else "the log's beginning"
    findings.commands = int(replica.state.registers[R_COMMANDS]) - before
    findings.seq = replica.seq
    findings.state_hash = state_hash(replica.state)
    findings.seconds = round(time.perf_counter() - began_s, 3)


def bring(replica: Replica, view: LogView) -> None:
    """Forward to the view's end. Raises LogCorrupt where the log can't be replayed to there."""
    replica.follow(view)
    if replica.position != view.end:
        raise LogCorrupt(
            f"the log ends at position {view.end}, and can be replayed to {replica.position} only; restore it from "
            "a copy or a standby",
            replica.position,
        )


def _ways_out(config: Config, error: LogError, offers: list[Offer]) -> list[str]:
    """What an operator can do about damage, the best first."""
    if not isinstance(error, LogCorrupt) or error.position < 0:
        return []
    size = segment_bytes_of(config.log_dir)
    bad = error.position // size
    name = segment_path(Path(), bad)
    found = [f"put {name} back as it was, from a copy of the folder or from a standby, and look again"]
    behind = [
        offer for offer in offers if offer.log_position >= (bad + 1) * size and not reason_to_refuse(offer)
    ]
    if behind:
        newest = newest_first(behind)[0]
        moved = [
            str(segment_path(Path(), number)) for number in segment_numbers(config.log_dir) if number <= bad
        ]
        found.append(
            f"the snapshot at seq {newest.seq} in {newest.where} stands behind the damage: move {', '.join(moved)} "
            f"out of {config.log_dir} and look again. State and trading are then whole; what is in those files can't "
            "be replayed or published again, so keep them"
        )
    return found


def lines(findings: Findings) -> list[str]:
    """For a person."""
    told = [f"the desk on {findings.data_dir} is {'running' if findings.running else 'down'}"]
    found = findings.log
    if found is not None:
        told.append(
            f"log: {found.segments} segments, positions {found.first_position} to {found.end_position}, last seq "
            f"{found.last_seq}, epoch {found.epoch}; its tail is "
            f"{'in memory' if found.in_memory else 'gone: from its files'}"
        )
        if found.torn_bytes:
            told.append(
                f"torn tail: {found.torn_bytes} bytes behind the end would be cut off ({found.torn_records} whole "
                "records of a group that is not)"
            )
    for snapshot in findings.snapshots:
        use = f"refused: {snapshot.refused}" if snapshot.refused else "can be used"
        told.append(
            f"snapshot at seq {snapshot.seq}, epoch {snapshot.epoch}, position {snapshot.log_position}, in "
            f"{snapshot.where}: {use}"
        )
    told += findings.troubles
    if findings.halts:
        told.append(f"A START WOULD HALT: {findings.halts}")
        return told + [f"  way out {number}: {way}" for number, way in enumerate(findings.ways_out, 1)]
    told.append(
        f"a start begins from {findings.begins_from} (seq {findings.begins_at_seq}), replays "
        f"{findings.commands} commands, and "
        f"comes to seq {findings.seq}, state {findings.state_hash}; here that took {findings.seconds} s"
    )
    return told
