"""Fixtures of the FIX tests."""

from __future__ import annotations

import pytest

from tests.fix import test_runners


@pytest.fixture
def free_port() -> int:
    """A port of the loopback that nobody has."""
    return test_runners.free_port()
