"""What a state begins from: the newest stored snapshot that is whole, of this program's version and of this very log.

Always holds:
- A snapshot is believed when its own hash is right and the log has, where it stands, the very record that it ends with:
  so one of another shard or another log is never used. What is refused is told with its reason, and the next best is
  tried: an older one, or the log from its beginning where that is kept.
- A whole snapshot that stands behind the log's end is a witness: what was between had been on disk (snapshots hold only
  what is synced), and is gone. Then nothing is begun and nothing is cut, since what is left may lack what was
  acknowledged.

Must not know where snapshots are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from actors.snapshot import Snapshot, SnapshotError, check, restore
from actors.tables import R_EPOCH, R_POSITION, R_SEQ, R_TIME, Array, State
from shared_mem.log import LogError, place_of
from shared_mem.log_view import LogView


class LogCutShort(LogError):
    """A snapshot stands behind the log's end: the log has lost what had been on disk, or is another one."""


class NothingToBeginFrom(LogError):
    """The log's beginning is not kept, and no snapshot can be used."""


class Offer(NamedTuple):
    """A stored snapshot, not read yet."""

    where: str  # for people: the place, so that they find it
    epoch: int
    seq: int
    log_position: int
    load: Callable[[], Snapshot]  # raises SnapshotError


class Begun(NamedTuple):
    """A state to replay the log's rest on, and what it was taken from: None for the log's beginning."""

    state: State
    offer: Offer | None
    refused: list[str]  # a line each


def newest_first(offers: Iterable[Offer]) -> list[Offer]:
    return sorted(offers, key=lambda offer: (offer.epoch, offer.seq), reverse=True)


def is_not_cut_short(
    offers: Sequence[Offer], log_dir: Path, end: int, epoch: int, segment_bytes: int
) -> None:
    """Raises LogCutShort when a whole snapshot stands behind the log's end. epoch: in which the log ends; what is of an
    earlier one was given up when a later owner went on without it."""
    for offer in newest_first(offers):
        if offer.log_position > end and offer.epoch >= epoch and reason_to_refuse(offer) is None:
            raise LogCutShort(
                f"the log in {log_dir} ends in {place_of(end, segment_bytes)}, and the snapshot at seq {offer.seq} in "
                f"{offer.where} stands at position {offer.log_position}: what was between had been on disk and is "
                "gone, or the snapshot is of another desk's log. Nothing was changed. Restore the log from a copy or a "
                "standby; or, to go on without what is lost, remove that snapshot: the file, or its row in the table "
                "snapshots"
            )


def reason_to_refuse(offer: Offer, view: LogView | None = None) -> str | None:
    """Why a snapshot can't be used; None when it can. view: of the log that it is to go with, if there is one."""
    try:
        registers = check(offer.load())
        if view is not None:
            _check_place(offer, view)
            _check_record(registers, view)
    except SnapshotError as error:
        return str(error)
    return None


def begin(offers: Sequence[Offer], fresh: Callable[[], State], view: LogView) -> Begun:
    """A state from the newest offer that can be used. fresh: gives empty tables; those of a refused one are dropped.

    Raises NothingToBeginFrom."""
    refused: list[str] = []
    for offer in newest_first(offers):
        try:
            return Begun(_from(offer, fresh, view), offer, refused)
        except SnapshotError as error:
            refused.append(f"the snapshot at seq {offer.seq} in {offer.where} is refused: {error}")
    if view.first > 0:
        raise NothingToBeginFrom(
            f"the log in {view.log_dir} begins at position {view.first}, since what is older was let go, and no "
            f"snapshot can be used: {'; '.join(refused) or 'there is none'}. Restore a snapshot or the older segments, "
            "from a copy or a standby"
        )
    return Begun(fresh(), None, refused)


def _from(offer: Offer, fresh: Callable[[], State], view: LogView) -> State:
    _check_place(offer, view)
    state = fresh()
    restore(offer.load(), state)
    _check_record(state.registers, view)
    return state


def _check_place(offer: Offer, view: LogView) -> None:
    if offer.log_position > view.end:
        raise SnapshotError(f"it stands at position {offer.log_position}, behind the log's end at {view.end}")
    if offer.log_position < view.first:
        raise SnapshotError(
            f"the log goes on from it at position {offer.log_position}, and is kept from {view.first} on"
        )


def _check_record(registers: Array, view: LogView) -> None:
    """The state's last record must stand in the log, at its place."""
    position = int(registers[R_POSITION])
    if not _is_in(view, position, int(registers[R_SEQ]), int(registers[R_TIME]), int(registers[R_EPOCH])):
        raise SnapshotError(
            f"the log has another record before position {position} than it ends with: it is of another log"
        )


def _is_in(view: LogView, position: int, seq: int, time_ns: int, epoch: int) -> bool:
    if position == 0:
        return seq == 0
    if position == view.first:  # what stood before it was let go
        following = view.record_at(position)
        return following is None or (following.seq > seq and following.epoch >= epoch)
    return view.record_before(position) == (seq, time_ns, epoch)
