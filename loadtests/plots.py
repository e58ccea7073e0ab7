"""Plots of what benchmarks compare: latency over percentiles, one line a configuration. Written to bench-results/."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

RESULTS: Final = Path("bench-results")
# Where the eye looks: the tail gets as much room as the middle.
POINTS: Final = (0.0, 50.0, 90.0, 99.0, 99.9)


def latency(name: str, title: str, curves: dict[str, np.ndarray]) -> Path:
    """Draw latencies (ns) of each curve by percentile, both axes logarithmic; the file's path."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), dpi=120)
    for label, values in curves.items():
        ordered = np.sort(values) / 1000
        share = (np.arange(len(ordered)) + 0.5) / len(ordered)
        axes.plot(1 / (1 - share), ordered, label=f"{label} (n={len(ordered):,})")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([1 / (1 - p / 100) for p in POINTS], [f"p{p:g}" for p in POINTS])
    axes.set_xlabel("percentile")
    axes.set_ylabel("microseconds")
    axes.set_title(title)
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.png"
    figure.savefig(path)
    plt.close(figure)
    return path
