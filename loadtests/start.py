"""Starting a shard in a fresh process, until it has answered its first command: with a cold and a warm compile cache.

Measured: from the process's start: interpreter, imports, every compiled function loaded or compiled (actors/warm.py),
recovery of an empty log, the loop's thread, a deposit pushed and its event read from the log. Cold: the cache's
folder is new, so everything is compiled; warm: the same folder again.
Excluded: the servers and the other roles of a stack.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from loadtests.measure import Row, progress, row

WARM_ROUNDS: Final = 3


def start(folder: Path, say_steps: bool) -> None:
    """What the fresh process does."""
    from actors.shard import Lane, Shard
    from actors.warm import steps
    from core import commands
    from shared_mem.log import Reader
    from shared_mem.log_reader import LogReader

    for step in steps():
        if say_steps:
            progress(f"compiling: {step.label}")
        step.run()
    shard = Shard(folder / "log", folder / "run")
    shard.recover()
    shard.start()
    reader = LogReader(folder / "log", folder / "run", Reader.AUDIT)
    shard.lanes[Lane.ADMIN].try_push(commands.deposit(request_id=1, account=1, amount_e6=1))
    while not reader.read():
        time.sleep(0.001)
    reader.close()
    shard.stop()


def seconds(cache: str, say_steps: bool = False) -> float:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        words = [sys.executable, "-m", "loadtests.start", folder, str(int(say_steps))]
        begin = time.perf_counter()
        subprocess.run(words, check=True, env={**os.environ, "TRADEWIND_CACHE_DIR": cache})
        return time.perf_counter() - begin


def bench() -> list[Row]:
    with tempfile.TemporaryDirectory() as cache:
        progress("a start with a cold compile cache: everything is compiled")
        cold = seconds(cache, say_steps=True)
        warm = []
        for number in range(WARM_ROUNDS):
            progress(f"a start with a warm compile cache, round {number + 1} of {WARM_ROUNDS}")
            warm.append(seconds(cache))
    return [
        row("start_warm", "s", warm, note="a fresh process until its shard has answered a command"),
        row("start_cold", "s", [cold], note="the same with nothing compiled"),
    ]


if __name__ == "__main__":
    start(Path(sys.argv[1]), sys.argv[2] == "1")
