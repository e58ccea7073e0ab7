"""Stories of the market data's tests: a real recording, and a few days of real closes."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketdata import closes

RECORDING = Path(__file__).resolve().parents[3] / "shared" / "data" / "esh4-20231225.mbo.dbn.zst"


@pytest.fixture
def es_recording() -> Path:
    """An hour of E-mini S&P 500 futures, with the snapshot before it: 68,792 messages."""
    if not RECORDING.is_file():
        pytest.skip(
            f"the recording {RECORDING} is not here; see the README of that folder for where to get it"
        )
    return RECORDING


@pytest.fixture(scope="session")
def four_days() -> closes.Closes:
    return closes.read(4)
