"""A system call of a running process that fails, or is its last: strace's fault injection, attached to its threads.

strace counts each thread's calls by itself: the third call is the third of whichever thread comes to three first. Calls
about certain files alone (`paths`) are one thread's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

# Nothing is measured by it: so that a test whose strace never attaches ends.
PATIENCE_S = 30


def needs_strace() -> None:
    """Skips where there is none, or where it may not look at a process."""
    if shutil.which("strace") is None:
        pytest.skip("no strace here (package strace): calls can't be made to fail")
    tried = subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()}")


@contextmanager
def injected(pid: int, what: str, paths: Sequence[Path] = ()) -> Iterator[None]:
    """Within the block each thread of process `pid` has the fault `what`: 'fdatasync:signal=KILL:when=3'."""
    call = what.split(":", 1)[0]
    about = [word for path in paths for word in ("-P", str(path))]
    tracer = subprocess.Popen(
        [
            "strace",
            "-f",
            "-p",
            str(pid),
            "-o",
            os.devnull,
            *about,
            "-e",
            f"trace={call}",
            "-e",
            f"inject={what}",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    timer = threading.Timer(PATIENCE_S, tracer.kill)
    timer.start()
    said = ""
    while "attached" not in said and (line := tracer.stderr.readline()):
        said += line
    timer.cancel()
    assert "attached" in said, f"strace says: {said}"
    drained = threading.Thread(target=tracer.stderr.read, daemon=True)
    drained.start()
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait(PATIENCE_S)
        drained.join(PATIENCE_S)
        tracer.stderr.close()
