"""Stories of the acceptance tests: a stack whose wire to the venue is tapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.wire import Relay
from tests.stack import ROOT, Stack, free_port_base

RECORDING = ROOT.parent / "shared" / "data" / "esh4-20231225.mbo.dbn.zst"

TappedStack = Callable[..., tuple[Stack, Relay]]


@pytest.fixture(scope="module")
def tapped_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TappedStack]:
    """Starts stacks whose orders go to the venue through a relay that keeps every byte."""
    made: list[tuple[Stack, Relay]] = []

    def make(**options: object) -> tuple[Stack, Relay]:
        relay, base = Relay(), free_port_base()
        relay.target = ("127.0.0.1", base + 2)
        stack = Stack(
            tmp_path_factory.mktemp("tapped") / "data", base, {"venue_address": relay.address, **options}
        )
        made.append((stack, relay))
        stack.start()
        return stack, relay

    yield make
    for stack, relay in made:
        stack.discard()
        relay.close()


@pytest.fixture(scope="module")
def recording() -> Path:
    """An hour of E-mini S&P 500 futures, order by order, with the snapshot before it: 68,792 messages."""
    if not RECORDING.is_file():
        pytest.skip(f"the recording {RECORDING.name} is not in ../shared/data beside the repository")
    return RECORDING
