"""Orders a second: what new orders cost the shard's thread, from its ring to the published log, one after the other.

Measured: taking the command from its ring, the clock, stamping the quote, all checks, reservation, order row and
indexes, two log records with CRC-32C, publication (gate `written`). Accounts and instruments are drawn at random; the
state's pages are touched before, as a start does it.
Excluded: whoever fills the ring (it is filled before the clock starts). Without a flusher the disk is left out too:
its mark is moved by hand, so that the log's tail is written over and over. With one, a row gives what is sustained,
waiting for the disk counted, and another the shard's own time while the flusher works beside it.
Cold start: the first round is not counted.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from actors.shard import Lane
from loadtests import plots
from loadtests.desk import Desk, Pages, capacity_for, draw, orders_feed
from loadtests.measure import Row, progress, row

ROUNDS: Final = 5
FEW, SOME, MANY = 1_000, 100_000, 1_000_000
ORDERS: Final = 400_000
# A round with the flusher writes some 100 MB to disk.
FLUSHED_ORDERS: Final = 200_000
EXCHANGE_CORE: Final = (
    "exchange-core publishes 5 M/s at p50 1.5 us, p99 42 us (other machine, journal off, one symbol)"
)
SCRATCH_DIR: Final = Path("bench-results")


class Figures(NamedTuple):
    """A figure a round: ns an order in the shard's code, and with what was waited for the disk."""

    decided: list[float]
    sustained: list[float]
    huge_bytes: int


def decisions(
    accounts: int, count: int, *, zipf: bool = False, pages: Pages = Pages.AS_SHIPPED, flushing: bool = False
) -> Figures:
    """ROUNDS rounds of `count` orders after one that is not counted. With a flusher the log is in SCRATCH_DIR."""
    SCRATCH_DIR.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        tempfile.TemporaryDirectory(dir=SCRATCH_DIR, prefix="log.") as disk,
    ):
        total = (ROUNDS + 1) * count
        log_dir = Path(disk) if flushing else None
        capacity = capacity_for(accounts, total)
        desk = Desk(Path(folder), capacity, log_dir=log_dir, pages=pages, flushing=flushing)
        try:
            desk.open_market(accounts)
            orders = orders_feed(*draw(accounts, total, seed=1, zipf=zipf), seed=2)
            decided, sustained = [], []
            for number in range(ROUNDS + 1):
                spent, waited = desk.serve(Lane.ORDERS_GATEWAY, orders, number * count, count)
                if number:
                    decided.append(spent / count)
                    sustained.append((spent + waited) / count)
            assert desk.orders == total, f"{desk.orders} orders were accepted of {total}"
            return Figures(decided, sustained, desk.huge_bytes)
        finally:
            desk.close()


def _rate(ns: list[float]) -> list[float]:
    return [1e9 / figure for figure in ns]


def bench() -> list[Row]:
    rows = []
    by_accounts = {}
    for accounts in (FEW, SOME, MANY):
        progress(f"decisions over {accounts:,} accounts, drawn at random")
        by_accounts[accounts] = figures = decisions(accounts, ORDERS)
        rows.append(row(f"decision_{accounts}_accounts", "ns", figures.decided))
        rows.append(row(f"orders_per_s_{accounts}_accounts", "1/s", _rate(figures.decided)))
    given = f"{figures.huge_bytes >> 20:,} MiB in pages of 2 MiB"
    rows[-1].note = f"no flusher; {given}; {EXCHANGE_CORE}"
    progress(f"decisions over {MANY:,} accounts, zipf-distributed")
    figures = decisions(MANY, ORDERS, zipf=True)
    rows.append(
        row(f"orders_per_s_{MANY}_accounts_zipf", "1/s", _rate(figures.decided), note="no flusher; s = 1.1")
    )
    for pages, name in ((Pages.SMALL, "small_pages"), (Pages.HUGE, "huge_pages")):
        progress(f"decisions over {MANY:,} accounts, pages of {pages.value}")
        figures = decisions(MANY, ORDERS, pages=pages)
        note = f"no flusher; {figures.huge_bytes >> 20:,} MiB of state and tail in pages of 2 MiB"
        rows.append(row(f"orders_per_s_{MANY}_accounts_{name}", "1/s", _rate(figures.decided), note=note))
    progress(f"decisions over {MANY:,} accounts, the flusher beside")
    figures = decisions(MANY, FLUSHED_ORDERS, flushing=True)
    rows.append(
        row(f"orders_per_s_{MANY}_accounts_flushing", "1/s", _rate(figures.decided),
            note="the shard's own time while a real flusher works on the other core")
    )  # fmt: skip
    rows.append(
        row(f"orders_per_s_{MANY}_accounts_flushed", "1/s", _rate(figures.sustained),
            note="sustained: waiting for the disk is counted")
    )  # fmt: skip
    rows.append(_growth(by_accounts))
    return rows


def _growth(by_accounts: dict[int, Figures]) -> Row:
    """How many times as long an order takes over the most accounts as over the fewest."""
    few, many = by_accounts[FEW].decided, by_accounts[MANY].decided
    curve = {accounts: figures.decided for accounts, figures in by_accounts.items()}
    plot = plots.growth("cost_growth", "A new order, from its ring to the published log", curve)
    ratios = [b / a for a, b in zip(few, many, strict=True)]
    return row("cost_growth", "x", ratios, note=f"{FEW:,} to {MANY:,} accounts; {plot}")
