"""How a figure is taken and shown here: rows of ours, the limit and the peer from the same run, as ratios.

Always holds: the sides of a comparison alternate in one run, the median is quoted and the spread is given. A row
says what it excludes. Nothing here judges; tests never call it.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import numpy as np


class Row(msgspec.Struct, omit_defaults=False):
    """One figure. Units in `unit`; ratios are ours / other; `spread` is (min, max) of ours over the rounds."""

    what: str
    unit: str
    ours: float
    limit: float | None = None
    peer: float | None = None
    ratio_to_limit: float | None = None
    ratio_to_peer: float | None = None
    spread: tuple[float, float] | None = None
    note: str = ""


def row(
    what: str,
    unit: str,
    ours: Sequence[float],
    *,
    limit: Sequence[float] = (),
    peer: Sequence[float] = (),
    note: str = "",
) -> Row:
    """A row from one figure a round of each side; the ratios are medians of the rounds' own ratios."""

    def ratio(others: Sequence[float]) -> float | None:
        return statistics.median(a / b for a, b in zip(ours, others, strict=True)) if others else None

    return Row(
        what,
        unit,
        statistics.median(ours),
        statistics.median(limit) if limit else None,
        statistics.median(peer) if peer else None,
        ratio(limit),
        ratio(peer),
        (min(ours), max(ours)),
        note,
    )


def percentiles(values_ns: np.ndarray, what: str, note: str = "") -> list[Row]:
    """p50, p99, p99.9 and max of latencies in ns, as rows in microseconds."""
    points = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
    return [
        Row(f"{what}_{name}", "us", float(np.percentile(values_ns, q)) / 1000, note=note)
        for name, q in points.items()
    ]


def machine() -> str:
    """One line about where the figures were taken."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            names = {line.split(":", 1)[1].strip() for line in file if line.startswith("model name")}
        model = " / ".join(sorted(names)) or model
    except OSError:
        pass
    python = f"CPython {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, {python}"


def show(title: str, rows: list[Row], as_json: bool) -> None:
    """Print rows for people, or as JSON lines."""
    if as_json:
        for found in rows:
            print(msgspec.json.encode(found, enc_hook=float).decode())
        return
    print(f"\n{title}  ({machine()})")
    print(f"{'what':<46}{'unit':>8}{'ours':>14}{'limit':>12}{'peer':>12}{'x limit':>9}{'x peer':>9}  spread")

    def number(value: float | None, width: int) -> str:
        return (
            f"{value:>{width},.3g}"
            if value is not None and value < 100
            else (f"{value:>{width},.0f}" if value is not None else " " * (width - 1) + "-")
        )

    for found in rows:
        spread = f"{found.spread[0]:,.3g} to {found.spread[1]:,.3g}" if found.spread else ""
        print(
            f"{found.what:<46}{found.unit:>8}{number(found.ours, 14)}{number(found.limit, 12)}"
            f"{number(found.peer, 12)}{number(found.ratio_to_limit, 9)}{number(found.ratio_to_peer, 9)}  {spread}"
        )
        if found.note:
            print(f"    {found.note}")


def pin(core: int) -> None:
    """Bind the calling thread to a core, where there is one of that number."""
    if (os.cpu_count() or 1) > core:
        os.sched_setaffinity(0, {core})


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Bind the calling thread to a core for a while."""
    before = os.sched_getaffinity(0)
    pin(core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def progress(text: str) -> None:
    print(f"  … {text}", file=sys.stderr, flush=True)


Bench = Callable[[], list[Row]]
