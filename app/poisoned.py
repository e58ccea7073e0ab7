"""A shard looks at what its predecessor died of, and puts a command aside that has killed it CRASHES_MAX times.

Two crashes are the same when the same command was in hand: the same record of the same ring, which the shard takes
first of all when it is back. How it died does not matter, and a kill -9 from outside that meets one command so
often does not happen: it is in hand for a microsecond.

Always holds: a command is put aside only before anybody was told of it; its sender gets a reject. The list that an
operator reads (app/quarantine_files.py) has it before the log does. One that stands in the log was acknowledged, so
nothing but an operator's word leaves it out: the shard stays down until then, and says so (`hold_if_poisoned`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from actors.amended import Watch, skips_of
from actors.poison import InHand, in_hand, oldest, put_aside
from actors.shard import Lane, Shard
from app import quarantine_files
from app.config import Config
from app.quarantine_files import SKIPPED, UNDECIDED_MAX, WATCH_FILE, Entry
from core import commands
from core.records import LANE_SHIFT, CommandKind
from shared_mem.log import Reader, Tail
from shared_mem.log_reader import LogReader
from shared_mem.segment import SegmentError

_log = logging.getLogger("tradewind.quarantine")

# Two could be a bad moment and its echo; each more is a second of everybody's time.
CRASHES_MAX: Final = 3


class PoisonInLog(SystemExit):
    """The shard does not start. Its text is the last line of its log, and what `tradewind status` shows."""


class Suspect(msgspec.Struct, frozen=True):
    """The command that was in hand at the last death, and at how many in a row."""

    lane: int
    place: int
    kind: int
    crashes: int


def _path(config: Config) -> Path:
    return config.run_dir / "suspect"


def watch_of(config: Config) -> Watch:
    """What a replay tells of itself, and what it died of."""
    return Watch(config.run_dir / WATCH_FILE)


def hold_if_poisoned(config: Config, watch: Watch) -> None:
    """Raises PoisonInLog where a command of the log has killed the replay CRASHES_MAX times and nobody has decided."""
    if watch.crashes < CRASHES_MAX or watch.died_in is None:
        return
    position = watch.died_in.position
    if any(skip.position == position for skip in skips_of(config.log_dir)):
        return
    reader = LogReader(config.log_dir, config.run_dir, Reader.AUDIT, position)
    record = reader.read(1)[0]
    reader.close()
    head = commands.decode(record.payload)
    entry = quarantine_files.add(
        config,
        Entry(
            number=0, found_ns=0, kind=record.kind, lane=head["flags"] >> LANE_SHIFT, place=head["lane_seq"],
            crashes=watch.crashes, account=head["account"], order_id=head["order_id"], command=record.payload,
            seq=record.seq, position=position,
        ),
    )  # fmt: skip
    raise PoisonInLog(
        f"QUARANTINE {entry.number}: the replay died {watch.crashes} times of the log's command seq {record.seq} "
        f"({CommandKind(record.kind).name.lower()} of account {entry.account}, position {position}); it was "
        f"acknowledged, so a person decides: start the version of this program that wrote it and `tradewind "
        f"quarantine retry {entry.number}`, or leave it out with `tradewind quarantine skip {entry.number}`"
    )


def journal_skips(config: Config, push: Callable[[bytes], bool]) -> None:
    """Tell the log, and so everybody, of what an operator has left out of it; once the shard runs."""
    for entry in quarantine_files.entries(config):
        if entry.seq and entry.decision == SKIPPED and not entry.is_journaled:
            command = commands.passed_over(
                account=entry.account, seq=entry.seq, kind=entry.kind, crashes=entry.crashes
            )
            if push(command):
                quarantine_files.journaled(config, entry)


def examine(config: Config) -> Suspect | None:
    """What the dead shard had in hand; counted. Before the log is opened anew; None: nothing, or there was no shard."""
    try:
        found = in_hand(Tail.attach(config.run_dir))
    except SegmentError:
        found = None
    path = _path(config)
    if found is None:
        path.unlink(missing_ok=True)
        return None
    suspect = Suspect(found.lane, found.place, found.kind, 1 + _crashes_before(path, found))
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(suspect))
    fresh.rename(path)
    _log.error(
        "the last shard died with a command in hand: %s, seq %d, lane %d, %d times in a row",
        CommandKind(found.kind).name.lower(), found.seq, found.lane, suspect.crashes,
    )  # fmt: skip
    return suspect


def _crashes_before(path: Path, found: InHand) -> int:
    try:
        last = msgspec.json.decode(path.read_bytes(), type=Suspect)
    except (OSError, msgspec.MsgspecError):
        return 0
    return last.crashes if (last.lane, last.place) == (found.lane, found.place) else 0


def put_suspect_aside(config: Config, shard: Shard, suspect: Suspect | None) -> Entry | None:
    """The command that has killed the shard too often, if there is one: between its recovery and its start."""
    if (
        suspect is None
        or suspect.crashes < CRASHES_MAX
        or len(quarantine_files.undecided(config)) >= UNDECIDED_MAX
    ):
        return None
    lane = shard.lanes[Lane(suspect.lane)]
    raw = oldest(lane, suspect.place)
    if raw is None or suspect.kind == CommandKind.QUARANTINE:
        return None
    head = commands.decode(raw)
    entry = quarantine_files.add(
        config,
        Entry(
            number=0, found_ns=0, kind=suspect.kind, lane=suspect.lane, place=suspect.place, crashes=suspect.crashes,
            account=head["account"], order_id=head["order_id"], command=raw,
        ),
    )  # fmt: skip
    put_aside(lane, suspect.crashes)
    _path(config).unlink(missing_ok=True)
    _log.error(
        "QUARANTINE %d: %s of account %d killed the shard %d times in a row; it is put aside, and its sender is told. "
        "`tradewind quarantine list` shows it, `skip` or `retry` decides",
        entry.number, CommandKind(suspect.kind).name.lower(), entry.account, suspect.crashes,
    )  # fmt: skip
    return entry
