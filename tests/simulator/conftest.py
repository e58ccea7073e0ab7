"""Stories of the simulator's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

RECORDING = Path(__file__).resolve().parents[3] / "shared" / "data" / "esh4-20231225.mbo.dbn.zst"


@pytest.fixture
def es_recording() -> Path:
    """An hour of E-mini S&P 500 futures, with the snapshot before it: 68,792 messages."""
    if not RECORDING.is_file():
        pytest.skip(
            f"the recording {RECORDING} is not here; see the README of that folder for where to get it"
        )
    return RECORDING
