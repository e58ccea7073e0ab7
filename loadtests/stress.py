"""Stress of shared memory and the log: processes that are killed at random moments, every byte checked.

    make stress ARGS="--minutes 5"

In turn, for a share of the time each: a ring between a producer and a consumer that parks; a broadcast with two
readers; a table with two readers; the log with its writer, flusher, two followers and retention. Producers, consumers,
owners, writers and readers are killed with SIGKILL and started again at random times from a seed. Whatever is torn,
lost, doubled, out of order or not woken for is counted; the exit code is 1 when any of it is. docs/reliability.md has
the counts of a long run.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from loadtests import stress_log, stress_loops
from loadtests.stress_loops import LEDGER_BYTES, LOST_WAKE_UPS, MISSED, NAME, OUT_OF_ORDER, STOP, TAKEN, TORN
from shared_mem import broadcast, ring, table
from shared_mem.bell import Bell
from shared_mem.broadcast import Broadcast
from shared_mem.log import load_word, store_word
from shared_mem.ring import Ring
from shared_mem.segment import Segment
from shared_mem.table import Table

WORDS: Final = 32  # a command's 256 bytes
KEYS: Final = 64
ROW: Final = np.dtype([("key", "i8"), ("words", "i8", WORDS)])
# Kills come between these, in seconds: within a process's start, its first records, and full flow.
KILL_S: Final = (0.005, 0.35)
# A child that does not end this long after it was told to hangs.
END_S: Final = 120.0

_FORK: Final = multiprocessing.get_context("fork")


class Result(NamedTuple):
    """Of one scenario. findings: what must be 0, by name."""

    what: str
    seconds: float
    kills: int
    records: int
    findings: dict[str, int]

    @property
    def is_good(self) -> bool:
        return not any(self.findings.values())


class Role(NamedTuple):
    """One process: `run(folder)` until the ledger's STOP. ends: the STOP that ends it."""

    run: Callable[[Path], None]
    ends: int
    is_killed: bool = True


class Scenario(NamedTuple):
    """What is set up, who runs, and what is counted at the end: (records, findings)."""

    name: str
    prepare: Callable[[Path], None]
    roles: tuple[Role, ...]
    tally: Callable[[Path], tuple[int, dict[str, int]]]


class Ledger:
    """Counters in shared memory, by name of their word."""

    def __init__(self, folder: Path) -> None:
        self._segment = Segment.create(folder / "ledger", LEDGER_BYTES, "ledger", 1)
        self.address = self._segment.address

    def __getitem__(self, word: int) -> int:
        return int(load_word(self.address + word))

    def __setitem__(self, word: int, value: int) -> None:
        store_word(self.address + word, value)


def _stopped(folder: Path, stage: int) -> Callable[[], bool]:
    ledger = Ledger(folder)
    return lambda: ledger[STOP] >= stage


def _buffer(words: int) -> tuple[np.ndarray, int]:
    buffer = np.zeros(words, np.int64)
    return buffer, int(buffer.ctypes.data)


# --- a ring with bells ---------------------------------------------------------------------------------------


def _ring_prepare(folder: Path) -> None:
    Ring.create(folder / "ring", 8 * WORDS, 256)
    Bell.create(folder / "bell")


def _push(folder: Path) -> None:
    bell = Bell.attach(folder / "bell")
    kept, record = _buffer(WORDS)
    producer, ledger = Ring.attach(folder / "ring", bell=bell), Ledger(folder)
    stress_loops.push(producer.address, bell.flag, bell.fileno(), record, WORDS, ledger.address)
    bell.ring()
    del kept


def _take(folder: Path) -> None:
    bell, ledger = Bell.create(folder / "bell"), Ledger(folder)
    consumer = Ring.create(folder / "ring", 8 * WORDS, 256)
    ring.skip_through(consumer.address, ledger[NAME])
    kept, scratch = _buffer(1024)
    stress_loops.take(consumer.address, bell.flag, bell.fileno(), scratch, WORDS, ledger.address)
    del kept


def _ring_count(folder: Path) -> tuple[int, dict[str, int]]:
    ledger, producer = Ledger(folder), Ring.attach(folder / "ring")
    pushed = int(load_word(producer.address + ring.TAIL))
    last = ledger[NAME] & ((1 << ring.SEQUENCE_BITS) - 1)
    return pushed, {
        "torn": ledger[TORN],
        "lost or doubled": ledger[OUT_OF_ORDER],
        "not taken": pushed - (last + 1),
        "not woken": ledger[LOST_WAKE_UPS],
    }


# --- a broadcast -----------------------------------------------------------------------------------------------


def _broadcast_prepare(folder: Path) -> None:
    Broadcast.create(folder / "broadcast", 8 * WORDS, 256)


def _flood(folder: Path) -> None:
    kept, record = _buffer(WORDS)
    producer, ledger = Broadcast.create(folder / "broadcast", 8 * WORDS, 256), Ledger(folder)
    stress_loops.flood(producer.address, record, WORDS, ledger.address)
    del kept


def _follow(folder: Path, counts: int) -> None:
    segment = Segment.attach(folder / "broadcast", broadcast.LAYOUT, broadcast.VERSION, writable=False)
    kept, target = _buffer(WORDS)
    base, ledger = segment.address, Ledger(folder)
    start = 0 if counts else int(broadcast.oldest_sequence(base))
    stress_loops.follow(base, target, WORDS, ledger.address, start, counts)
    del kept


def _broadcast_count(folder: Path) -> tuple[int, dict[str, int]]:
    ledger = Ledger(folder)
    segment = Segment.attach(folder / "broadcast", broadcast.LAYOUT, broadcast.VERSION)
    published = int(broadcast.next_sequence(segment.address))
    uncounted = published - ledger[TAKEN] - ledger[MISSED]
    return published, {"torn": ledger[TORN], "neither read nor counted as missed": uncounted}


# --- a table ---------------------------------------------------------------------------------------------------


def _table_prepare(folder: Path) -> None:
    Table.create(folder / "table", ROW, KEYS, key="key")


def _put_rows(folder: Path) -> None:
    owner = Table.create(folder / "table", ROW, KEYS, key="key")
    number = 1 + max((int(row["words"][0]) for row in owner), default=0)
    kept, record = _buffer(1 + WORDS)
    ledger = Ledger(folder)
    stress_loops.put_rows(owner.address, record, WORDS, KEYS, ledger.address, number)
    del kept


def _look(folder: Path) -> None:
    reader, ledger = Table.attach(folder / "table", ROW, key="key"), Ledger(folder)
    kept, target = _buffer(1 + WORDS)
    seen, newest = _buffer(KEYS)
    stress_loops.look(reader.address, target, WORDS, KEYS, ledger.address, newest)
    del kept, seen


def _table_count(folder: Path) -> tuple[int, dict[str, int]]:
    ledger = Ledger(folder)
    owner = Table.create(folder / "table", ROW, KEYS, key="key")
    numbers = [int(row["words"][0]) for row in owner] or [0]
    findings = {"torn": ledger[TORN], "gone back": ledger[OUT_OF_ORDER], "rows lost": KEYS - len(numbers)}
    findings["rows left behind"] = int(max(numbers) - min(numbers) > 1)
    return int(load_word(owner.address + table.CHANGES)), findings


# --- all of them -----------------------------------------------------------------------------------------------

SCENARIOS: Final = (
    Scenario("ring and bell", _ring_prepare, (Role(_push, 1), Role(_take, 2)), _ring_count),
    Scenario(
        "broadcast",
        _broadcast_prepare,
        (
            Role(_flood, 1),
            Role(lambda folder: _follow(folder, 1), 2, is_killed=False),
            Role(lambda folder: _follow(folder, 0), 2),
        ),
        _broadcast_count,
    ),
    Scenario("table", _table_prepare, (Role(_put_rows, 1), Role(_look, 2), Role(_look, 2)), _table_count),
    Scenario(
        "log",
        stress_log.prepare,
        (
            Role(lambda folder: stress_log.write(folder, _stopped(folder, 1)), 1),
            Role(lambda folder: stress_log.read(folder, "one", _stopped(folder, 2)), 2),
            Role(lambda folder: stress_log.read(folder, "two", _stopped(folder, 2)), 2),
            Role(lambda folder: stress_log.trim_until(folder, _stopped(folder, 2)), 2),
        ),
        stress_log.tally,
    ),
)


def stress(scenario: Scenario, seconds: float, dice: random.Random) -> Result:
    """Run one scenario for so long, killing at random, then to its end in order, and count."""
    with _folder() as folder:
        ledger = Ledger(folder)
        scenario.prepare(folder)
        running = [_started(role, folder) for role in scenario.roles]
        kills = failures = 0
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            time.sleep(dice.uniform(*KILL_S))
            victim = dice.choice([n for n, role in enumerate(scenario.roles) if role.is_killed])
            failures += _kill(running[victim])
            running[victim] = _started(scenario.roles[victim], folder)
            kills += 1
        for stage in (1, 2):
            ledger[STOP] = stage
            for role, child in zip(scenario.roles, running, strict=True):
                if role.ends == stage:
                    failures += _end(child)
        records, findings = scenario.tally(folder)
        findings["ended by themselves or hung"] = failures
        return Result(scenario.name, time.monotonic() - begun, kills, records, findings)


def _started(role: Role, folder: Path) -> multiprocessing.process.BaseProcess:
    child = _FORK.Process(target=role.run, args=(folder,), daemon=True)
    child.start()
    return child


def _kill(child: multiprocessing.process.BaseProcess) -> int:
    """1 when it had ended before it was killed: only an error ends it."""
    had_ended = child.exitcode is not None
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    return int(had_ended)


def _end(child: multiprocessing.process.BaseProcess) -> int:
    """1 when it ended with an error, or had to be killed."""
    child.join(END_S)
    if child.exitcode is None:
        child.kill()
        child.join()
        return 1
    return int(child.exitcode != 0)


def warm(scenarios: Sequence[Scenario]) -> None:
    """Compile in this process what its children run, so that they begin at once."""
    for scenario in scenarios:
        with _folder() as folder:
            Ledger(folder)[STOP] = 2
            scenario.prepare(folder)
            for role in scenario.roles:
                role.run(folder)
            scenario.tally(folder)


@contextmanager
def _folder() -> Iterator[Path]:
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="tradewind-stress-", dir=shared if shared.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, metavar="N", help="altogether (default: 1)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), metavar="N")
    parser.add_argument("--json", action="store_true", help="one JSON object a scenario")
    words = parser.parse_args()
    dice = random.Random(words.seed)
    if not words.json:
        print(f"seed {words.seed}; compiling")
    warm(SCENARIOS)
    is_good = True
    for scenario in SCENARIOS:
        result = stress(scenario, words.minutes * 60 / len(SCENARIOS), dice)
        is_good = is_good and result.is_good
        if words.json:
            print(json.dumps({**result._asdict(), "seed": words.seed}), flush=True)
        else:
            found = ", ".join(f"{name} {count}" for name, count in result.findings.items())
            head = f"{result.what:<14}{result.seconds:6.0f} s {result.kills:>6,} kills {result.records:>15,} records"
            print(f"{head}: {found}", flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
