"""The names in the shard's own tables, which it shares from the run folder."""

from __future__ import annotations

from pathlib import Path

from actors.view import StateBusy, StateView
from services.names import NamesUnavailable
from shared_mem.segment import SegmentMissing


class ShardTables:
    """`services.names.NameSource` over the tables of the shard that runs, or ran last, in `run_dir`."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._view: StateView | None = None

    def account_text(self, account: int) -> str | None:
        try:
            found = self._attached().account(account)
        except (SegmentMissing, StateBusy) as error:
            raise NamesUnavailable(f"account {account} can't be looked up: {error}") from error
        return None if found is None else found.text

    def symbol(self, instrument: int) -> str | None:
        try:
            found = self._attached().instrument(instrument)
        except (SegmentMissing, StateBusy) as error:
            raise NamesUnavailable(f"instrument {instrument} can't be looked up: {error}") from error
        return None if found is None else found.symbol

    def _attached(self) -> StateView:
        if self._view is None:
            self._view = StateView.attach(self._run_dir)
        return self._view
