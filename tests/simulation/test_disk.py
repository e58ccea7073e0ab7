"""The simulated disk keeps what was synced and nothing else for certain; and what it has shown of the real code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fix.session import Sent
from fix.store import Store, StoreError
from shared_mem.log import SEGMENT_BYTES_MIN
from shared_mem.log_writer import LogWriter
from tests.simulation.disk import SECTOR, Disk
from tests.simulation.seams import Kernel, Killed, Process, seams
from tests.simulation.world import World

# So many power cuts, each with dice of its own, meet each sector both ways.
CUTS = 8


class Bench:
    """A disk, the kernel above it, and a process."""

    def __init__(self, world: World, kernel: Kernel, folder: Path) -> None:
        self.kernel = kernel
        self.folder = folder
        self.disk = Disk(world, folder, 0.2)
        self.start()

    def start(self) -> None:
        self.process = self.kernel.process = Process("it", self.disk)

    def power_cut(self) -> None:
        self.kernel.reap(self.process)
        self.disk.power_cut()
        self.start()


@pytest.fixture(params=range(CUTS))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    world = World(request.param)
    (tmp_path / "disk").mkdir()
    with seams(world) as kernel:
        yield Bench(world, kernel, tmp_path / "disk")


def file_of(bench: Bench, content: bytes) -> Path:
    """A file whose content and name are synced."""
    path = bench.folder / "file"
    fd = bench.kernel.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    bench.kernel.pwrite(fd, memoryview(content), 0)
    bench.kernel.fdatasync(fd)
    folder = bench.kernel.open(bench.folder, os.O_RDONLY)
    bench.kernel.fsync(folder)
    return path


def test_what_was_synced_is_there_bit_for_bit(bench: Bench) -> None:
    content = os.urandom(20 * SECTOR + 7)
    path = file_of(bench, content)
    bench.power_cut()
    assert path.read_bytes() == content


def test_of_what_was_not_synced_each_sector_goes_its_own_way(bench: Bench) -> None:
    path = file_of(bench, bytes(40 * SECTOR))
    fd = bench.kernel.open(path, os.O_RDWR)
    bench.kernel.pwrite(fd, memoryview(b"\xff" * 20 * SECTOR), 0)
    bench.power_cut()
    content = path.read_bytes()
    assert not any(content[20 * SECTOR :]), "what nobody wrote to is as it was"


def test_a_failed_sync_drops_what_a_later_one_does_not_bring(bench: Bench) -> None:
    path = file_of(bench, bytes(8 * SECTOR))
    fd = bench.kernel.open(path, os.O_RDWR)
    bench.kernel.pwrite(fd, memoryview(b"\xff" * 4 * SECTOR), 0)
    bench.disk.fails_sync = True
    with pytest.raises(OSError, match="Input/output error"):
        bench.kernel.fdatasync(fd)
    bench.kernel.pwrite(fd, memoryview(b"\xee" * 2 * SECTOR), 0)
    bench.kernel.fdatasync(fd)
    assert path.read_bytes()[: 4 * SECTOR] == b"\xee" * 2 * SECTOR + b"\xff" * 2 * SECTOR
    bench.power_cut()
    assert path.read_bytes() == b"\xee" * 2 * SECTOR + bytes(6 * SECTOR)


def test_a_dead_process_makes_no_call(bench: Bench) -> None:
    bench.process.calls_left = 0
    with pytest.raises(Killed):
        bench.kernel.fdatasync(0)
    with pytest.raises(Killed):
        bench.kernel.write(1, b"a ghost's")


def test_the_logs_own_number_outlives_a_power_cut_behind_the_first_start(bench: Bench, run_dir: Path) -> None:
    LogWriter.open(bench.folder / "log", run_dir, 0, segment_bytes=SEGMENT_BYTES_MIN).close()
    bench.power_cut()
    for path in run_dir.iterdir():
        path.unlink()
    LogWriter.open(bench.folder / "log", run_dir, 0, segment_bytes=SEGMENT_BYTES_MIN).close()


def message(seq: int) -> Sent:
    return Sent(seq, b"8=FIX.4.4" + bytes(700) + b"%d" % seq, admin=False, live=True)


def test_a_store_is_durable_as_it_is_opened_after_a_sync_that_failed(bench: Bench) -> None:
    """Found by a seed: the next owner saw the record that the disk had dropped, and went on behind it."""
    folder = bench.folder / "session"
    store = Store(folder, sync=True)
    store.append(2, [message(1)])
    bench.disk.fails_sync = True
    with pytest.raises(StoreError):
        store.append(3, [message(2)])
    store.close()
    store = Store(folder, sync=True)
    assert store.next_out == 3
    store.append(4, [message(3)])
    store.close()
    bench.power_cut()
    store = Store(folder, sync=True)
    assert (store.next_in, store.next_out) == (4, 4)
    assert [stored.seq for stored in store.read(1, 3)] == [1, 2, 3]
    store.close()


def test_a_store_is_durable_as_it_is_opened_after_a_kill_before_the_sync(bench: Bench) -> None:
    folder = bench.folder / "session"
    store = Store(folder, sync=True)
    store.append(2, [message(1)])
    bench.process.calls_left = 1
    with pytest.raises(Killed):
        store.append(3, [message(2)])
    bench.kernel.reap(bench.process)
    bench.start()
    store = Store(folder, sync=True)
    seen = store.next_out
    store.close()
    bench.power_cut()
    store = Store(folder, sync=True)
    assert store.next_out == seen
    store.close()
