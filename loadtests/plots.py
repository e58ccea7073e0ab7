"""Plots of what benchmarks compare: latency over percentiles, cost over accounts. Written to bench-results/.

Each answers with a few words for the row's note: where the plot is, or that there is none without matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

RESULTS: Final = Path("bench-results")
# More points of a curve than this are not seen.
CURVE_POINTS: Final = 2_000
# Where the eye looks: the tail gets as much room as the middle.
POINTS: Final = (0.0, 50.0, 90.0, 99.0, 99.9)


NO_PLOT: Final = "no plot: matplotlib is not installed (`make bench` installs it)"


def _draw(name: str, title: str, draw: Callable[[Any], None]) -> str:
    if find_spec("matplotlib") is None:
        return NO_PLOT
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=120)
    axes.grid(True, which="both", alpha=0.3)
    axes.set_title(title)
    draw(axes)
    figure.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.png"
    figure.savefig(path)
    plt.close(figure)
    return f"plot in {path}"


def latency(name: str, title: str, curves: dict[str, np.ndarray]) -> str:
    """Latencies (ns) of each curve by percentile, both axes logarithmic."""

    def draw(axes: Any) -> None:
        for label, values in curves.items():
            ordered = np.sort(values) / 1000
            share = (np.arange(len(ordered)) + 0.5) / len(ordered)
            # Equal steps on the axis, which is logarithmic in what is left above; the largest is always there.
            left = np.geomspace(1, len(ordered), min(CURVE_POINTS, len(ordered))).astype(int)
            shown = np.unique(len(ordered) - left)
            axes.plot(1 / (1 - share[shown]), ordered[shown], label=f"{label} (n={len(ordered):,})")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([1 / (1 - p / 100) for p in POINTS], [f"p{p:g}" for p in POINTS])
        axes.set_xlabel("percentile")
        axes.set_ylabel("microseconds")
        axes.legend()

    return _draw(name, title, draw)


def growth(name: str, title: str, ns_by_accounts: dict[int, list[float]]) -> str:
    """The time of one order (ns, a figure a round) over the number of accounts: median and spread."""
    accounts = sorted(ns_by_accounts)
    middle, low, high = (
        np.array([pick(ns_by_accounts[n]) for n in accounts], float) for pick in (np.median, min, max)
    )

    def draw(axes: Any) -> None:
        axes.errorbar(accounts, middle, yerr=(middle - low, high - middle), marker="o", capsize=4)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("accounts")
        axes.set_ylabel("nanoseconds an order")

    return _draw(name, title, draw)
