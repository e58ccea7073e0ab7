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
from typing import Any, Final, NamedTuple

from actors.shard import Lane
from loadtests import plots
from loadtests.desk import ZIPF_EXPONENT, Desk, Pages, capacity_for, draw, orders_feed
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


def _measured(what: str, *, count: int = 0, accounts: int = 0, **options: Any) -> Figures:
    accounts = accounts or MANY
    progress(f"decisions over {accounts:,} accounts, {what}")
    return decisions(accounts, count or ORDERS, **options)


def _of_pages(figures: Figures) -> str:
    return f"no flusher; {figures.huge_bytes >> 20:,} MiB of state and tail in pages of 2 MiB"


def bench() -> list[Row]:
    over = {accounts: _measured("drawn at random", accounts=accounts) for accounts in (FEW, SOME, MANY)}
    zipf = _measured("zipf-distributed", zipf=True)
    small, huge = (_measured(f"pages of {pages.value}", pages=pages) for pages in (Pages.SMALL, Pages.HUGE))
    flushed = _measured("the flusher beside", count=FLUSHED_ORDERS, flushing=True)
    rates = {
        "orders_per_s": (over[MANY].decided, f"{MANY:,} accounts, {_of_pages(over[MANY])}; {EXCHANGE_CORE}"),
        "orders_per_s_1k_accounts": (over[FEW].decided, "no flusher"),
        "orders_per_s_100k_accounts": (over[SOME].decided, "no flusher"),
        "orders_per_s_zipf": (zipf.decided, f"{MANY:,} accounts, s = {ZIPF_EXPONENT}; no flusher"),
        "orders_per_s_small_pages": (small.decided, _of_pages(small)),
        "orders_per_s_huge_pages": (huge.decided, _of_pages(huge)),
        "orders_per_s_flushing": (flushed.decided, "the shard's own time, a real flusher on the other core"),
        "orders_per_s_flushed": (flushed.sustained, "sustained: waiting for the disk is counted"),
    }
    return [
        *(row(f"decision_{n}_accounts", "ns", figures.decided) for n, figures in over.items()),
        *(row(what, "1/s", [1e9 / ns for ns in found], note=note) for what, (found, note) in rates.items()),
        _growth(over),
    ]


def _growth(by_accounts: dict[int, Figures]) -> Row:
    """How many times as long an order takes over the most accounts as over the fewest."""
    few, many = by_accounts[FEW].decided, by_accounts[MANY].decided
    curve = {accounts: figures.decided for accounts, figures in by_accounts.items()}
    plot = plots.growth("cost_growth", "A new order, from its ring to the published log", curve)
    ratios = [b / a for a, b in zip(few, many, strict=True)]
    return row("cost_growth", "x", ratios, note=f"{FEW:,} to {MANY:,} accounts; {plot}")
