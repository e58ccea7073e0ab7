"""The kill campaign: a few kills in every run of the tests, some dozens in `make test-faults`, more by `make kills`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.campaign import Campaign

pytestmark = pytest.mark.stack

SEED = 20261124


@pytest.fixture
def campaign(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Campaign]:
    made = Campaign(tmp_path, request.param)
    yield made
    made.discard()


@pytest.mark.parametrize("campaign", [SEED], indirect=True)
def test_a_few_kills_under_load_lose_nothing_and_double_nothing(campaign: Campaign) -> None:
    result = campaign.run(8)
    assert result.findings == []
    assert result.rest_acknowledged > 0
    assert result.fix_acknowledged > 0


@pytest.mark.faults
@pytest.mark.parametrize("campaign", [SEED + 1, SEED + 2, SEED + 3], indirect=True)
def test_many_kills_under_load_lose_nothing_and_double_nothing(campaign: Campaign) -> None:
    assert campaign.run(30).findings == []
