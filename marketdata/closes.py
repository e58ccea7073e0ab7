"""Real daily closes of twenty US shares, 1990-01-02 to 2022-12-28: what the simulated intraday data is pinned
to.

They stand in a data file that the installed package `skfolio` ships (sp500_dataset.csv.gz). The package is
never imported: only its file is read. The closes are adjusted for dividends and splits, so an old close is
what a holder's money was worth in today's shares and not the price that was printed on that day.

Always holds: a close is the exact decimal of the file, in price_e8; dates ascend; every symbol has a close on
every date.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
from collections import deque
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

from core.units import price_e8

PACKAGE: Final = "skfolio"
FILE: Final = "datasets/data/sp500_dataset.csv.gz"
ADJUSTMENT: Final = "closes are adjusted for dividends and splits"


class ClosesMissing(RuntimeError):
    """The file of closes is not installed, or is not what it was. The text names the file and the remedy."""


class Closes(NamedTuple):
    """`prices_e8[symbol][i]` is the close on `dates[i]`."""

    dates: tuple[date, ...]
    prices_e8: dict[str, tuple[int, ...]]


def file_path() -> Path:
    """Where the closes are. Raises ClosesMissing."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        path = Path(folder) / FILE
        if path.is_file():
            return path
    raise ClosesMissing(
        f"{PACKAGE}/{FILE} is not installed; install the package {PACKAGE} in this environment, "
        "or replay a recording instead"
    )


def symbols() -> tuple[str, ...]:
    """The symbols in the file, in its order. Reads its first line only."""
    path = file_path()
    with gzip.open(path, "rt", encoding="ascii", newline="") as lines:
        return _symbols_of(next(csv.reader(lines), []), path)


def read(last_days: int | None = None, path: Path | None = None) -> Closes:
    """The last `last_days` days of the file, or all of them. Raises ClosesMissing, also for a file that
    differs."""
    path = path or file_path()
    with gzip.open(path, "rt", encoding="ascii", newline="") as lines:
        rows = csv.reader(lines)
        names = _symbols_of(next(rows, []), path)
        kept = deque(rows, maxlen=last_days)
    try:
        dates = tuple(date.fromisoformat(row[0]) for row in kept)
        columns = zip(*(row[1:] for row in kept), strict=True)
        prices = {
            name: tuple(price_e8(text, f"close of {name}") for text in column)
            for name, column in zip(names, columns, strict=True)
        }
    except ValueError as error:
        raise ClosesMissing(
            f"{path} is not the file of closes it should be: {error}; reinstall {PACKAGE}"
        ) from error
    return Closes(dates, prices)


def _symbols_of(header: list[str], path: Path) -> tuple[str, ...]:
    if len(header) < 2 or header[0] != "Date":
        raise ClosesMissing(
            f"{path} does not begin with Date and symbols but with {header[:3]}; reinstall {PACKAGE}"
        )
    return tuple(header[1:])
