"""No byte outside is ever read or written by the compiled codec, whatever comes: pages without rights prove it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_and_random_bytes_never_lead_outside(seed: int) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "tests.fix.wire_child", str(seed), "4000"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (child.returncode, child.stdout) == (0, "sound\n"), child.stderr


def test_the_guard_does_end_a_process_that_reads_outside() -> None:
    reads_outside = (
        "from tests.fix.wire_child import Guarded; from fix.wire.frame import byte_sum; "
        "memory = Guarded(); byte_sum(memory.end - 8, 8); print('in'); byte_sum(memory.end - 8, 9)"
    )
    child = subprocess.run([sys.executable, "-uc", reads_outside], capture_output=True, timeout=300)
    assert child.stdout == b"in\n"
    assert child.returncode < 0
