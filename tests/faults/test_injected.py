"""A shard killed at, or failed by, each single system call by which it makes something durable.

After each: every acknowledged order is there exactly once, none is there that nobody sent, the log is whole, and its
replay from the beginning, and from the newest snapshot, is the state. Judged with the machine's memory and without it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.config import run_dir_of
from shared_mem.flusher import EXIT_DISK_FAILED
from tests.faults.shard_under_fault import ORDERS, Place, Run, template
from tests.faults.strace import needs_strace

# How often a run may make each call, at the most.
CALLS_MAX = 4 * ORDERS
# A sweep ends when the fault has met so many runs no more: a call may also be one that nothing hangs on.
UNMET_MAX = 3
# By which the shard makes the log, its segments and its snapshots durable; strace's names. First those about the log's
# own files, which are the flusher's; then all, of which the main thread's come first.
DURABLE = (
    ("pwrite64", True), ("fdatasync", True), ("fsync", True), ("fallocate", True), ("openat", True),
    ("pwrite64", False), ("fdatasync", False), ("fsync", False), ("rename", False),
)  # fmt: skip
# A few of each for every run of the tests; the whole sweep is left to `make test-faults`.
QUICK = (
    ("pwrite64", 1), ("pwrite64", 19), ("fdatasync", 2), ("fdatasync", 20), ("fsync", 2), ("rename", 1), ("rename", 3),
)  # fmt: skip

NewRun = Callable[[], Run]


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A log that is nearly a segment long, to begin each run with; its last number."""
    data = tmp_path_factory.mktemp("opening")
    place = Place(data / "log", run_dir_of(data))
    place.run_dir.mkdir()
    yield data, template(place)
    shutil.rmtree(place.run_dir)


@pytest.fixture
def a_run(opening: tuple[Path, int], tmp_path: Path) -> Iterator[NewRun]:
    needs_strace()
    data, run_dir = tmp_path / "data", run_dir_of(tmp_path)

    def make() -> Run:
        for folder in (data, run_dir):
            shutil.rmtree(folder, ignore_errors=True)
        (data / "log").mkdir(parents=True)
        run_dir.mkdir()
        for path in (opening[0] / "log").iterdir():
            shutil.copy(path, data / "log" / path.name)
        return Run(Place(data / "log", run_dir), opening[1])

    yield make
    shutil.rmtree(run_dir, ignore_errors=True)


@pytest.mark.parametrize(("call", "number"), QUICK)
def test_a_shard_killed_at_a_call_loses_and_doubles_nothing(a_run: NewRun, call: str, number: int) -> None:
    run = a_run()
    run.go(
        f"{call}:signal=KILL:when={number}", run.place.segments if call in ("pwrite64", "fdatasync") else ()
    )
    assert not run.is_complete, "the call was never made"
    run.judge()


# The first writes are the recovery's.
FAILS = (("fdatasync", 1), ("fdatasync", 7), ("pwrite64", 12), ("pwrite64", 23))


@pytest.mark.parametrize(("call", "number"), FAILS)
def test_a_disk_that_fails_ends_the_shard_at_once_and_nothing_is_acknowledged_after_it(
    a_run: NewRun, call: str, number: int
) -> None:
    run = a_run()
    run.go(f"{call}:error=EIO:when={number}", run.place.segments)
    assert run.exit_code == EXIT_DISK_FAILED
    assert len(run.acknowledged) < len(run.pushed)
    run.judge()


def test_a_run_without_a_fault_is_whole(a_run: NewRun) -> None:
    run = a_run()
    run.go(None)
    assert run.is_complete
    run.judge()


def swept(a_run: NewRun, call: str, fault: str, log_alone: bool) -> Iterator[Run]:
    """A run for each number of the call, until the fault meets none any more; each judged."""
    unmet = 0
    for number in range(1, CALLS_MAX):
        run = a_run()
        run.go(f"{call}:{fault}:when={number}", run.place.segments if log_alone else ())
        run.judge()
        if not run.is_complete:
            unmet = 0
            yield run
        elif (unmet := unmet + 1) == UNMET_MAX:
            return
    raise AssertionError(f"more than {CALLS_MAX} calls of {call} in one run")


@pytest.mark.faults
@pytest.mark.parametrize(("call", "log_alone"), DURABLE)
def test_a_shard_killed_at_each_call_of_a_run_loses_and_doubles_nothing(
    a_run: NewRun, call: str, log_alone: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    met = sum(1 for _ in swept(a_run, call, "signal=KILL", log_alone))
    assert met > 0
    with capsys.disabled():
        print(f"\nshard, {call}{' of the log' * log_alone}: killed at each of {met} calls")  # noqa: T201


@pytest.mark.faults
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64", "fsync"])
def test_a_disk_that_fails_at_each_call_ends_the_shard_and_nothing_is_acknowledged_after_it(
    a_run: NewRun, call: str, capsys: pytest.CaptureFixture[str]
) -> None:
    met = 0
    for run in swept(a_run, call, "error=EIO", log_alone=True):
        met += 1
        if run.pushed:  # else it failed while it recovered
            assert run.exit_code == EXIT_DISK_FAILED
            assert len(run.acknowledged) < len(run.pushed)
    assert met > 0
    with capsys.disabled():
        print(f"\nshard, {call} of the log: failed at each of {met} calls")  # noqa: T201
