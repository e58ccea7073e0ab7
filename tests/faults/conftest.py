"""Stories of the faults: a stack whose wire to the venue is tapped, as the acceptance tests have it."""

from __future__ import annotations

from tests.acceptance.conftest import tapped_stack

__all__ = ["tapped_stack"]
