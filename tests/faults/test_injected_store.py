"""A FIX session's store killed at, or failed by, each single system call: no number is given out twice, none is lost.

The store's process appends messages and says after each append how far it is; who listens is never killed.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import struct
from pathlib import Path

import pytest

from fix import store as stores
from fix.session import Sent
from fix.store import Store, StoreError
from tests.faults.strace import injected, needs_strace

# A few messages a file and a few files, so that a run begins files and drops them.
SEGMENT_BYTES = 2_000
SEGMENTS = 3
APPENDS = 40
RESET_AT = 25
STORE_FAILED = 71
CALLS_MAX = 200
# A sweep ends when the fault has met so many runs no more: a call may also be one that nothing hangs on.
UNMET_MAX = 3
# Nothing is measured by it: so that a run whose child hangs ends.
PATIENCE_S = 60.0

_FORK = multiprocessing.get_context("fork")
_SAID = struct.Struct("<QQQ")  # generation, next_in, next_out


def body(generation: int, seq: int) -> bytes:
    return f"8=FIX.4.4 generation {generation} number {seq}".encode().ljust(150, b".")


def _append(folder: Path, go: int, told: int) -> None:
    os.read(go, 1)
    stores.SEGMENT_BYTES_MAX = SEGMENT_BYTES  # type: ignore[misc]
    stores.SEGMENTS_MAX = SEGMENTS  # type: ignore[misc]
    try:
        store = Store(folder, sync=True)
        for number in range(APPENDS):
            if number == RESET_AT:
                store.reset()
            else:
                seq = store.next_out
                raw = body(store.generation, seq)
                store.append(store.next_in + 1, [Sent(seq, raw, False, True)], b"read to %d" % number)
            os.write(told, _SAID.pack(store.generation, store.next_in, store.next_out))
    except StoreError:
        os._exit(STORE_FAILED)


class Run:
    """What one store's process said before it ended."""

    def __init__(self, folder: Path, fault: str | None) -> None:
        self.folder = folder
        go_read, go_write = os.pipe()
        told_read, told_write = os.pipe()
        child = _FORK.Process(target=_append, args=(folder, go_read, told_write), daemon=True)
        child.start()
        os.close(go_read)
        os.close(told_write)
        assert child.pid is not None
        raw = bytearray()
        with injected(child.pid, fault):
            os.write(go_write, b"!")
            while piece := os.read(told_read, 4096):
                raw += piece
            child.join(PATIENCE_S)
        os.close(go_write)
        os.close(told_read)
        self.exit_code = child.exitcode
        self.said = [_SAID.unpack_from(raw, at) for at in range(0, len(raw), _SAID.size)]

    @property
    def is_complete(self) -> bool:
        return len(self.said) == APPENDS

    def judge(self) -> None:
        """The store opens, at what was said last or one step on; what it holds is what was appended."""
        last = self.said[-1] if self.said else (0, 1, 1)
        store = Store(self.folder, sync=True)
        found = (store.generation, store.next_in, store.next_out)
        generation, next_in, next_out = last
        step = (
            (generation + 1, 1, 1) if len(self.said) == RESET_AT else (generation, next_in + 1, next_out + 1)
        )
        assert found in (last, step), f"said {last}, found {found}"
        kept = list(store.read(1, store.next_out))
        assert [message.raw for message in kept] == [body(store.generation, m.seq) for m in kept]
        seqs = [message.seq for message in kept]
        assert seqs == list(range(store.next_out - len(seqs), store.next_out)), "what is kept has no hole"
        store.append(
            store.next_in + 1, [Sent(store.next_out, body(store.generation, store.next_out), False, True)]
        )
        store.close()


QUICK = (("write", 5), ("fdatasync", 1), ("fdatasync", 26), ("unlink", 1), ("fsync", 2))


@pytest.mark.parametrize(("call", "number"), QUICK)
def test_a_store_killed_at_a_call_gives_out_no_number_twice(tmp_path: Path, call: str, number: int) -> None:
    needs_strace()
    run = Run(tmp_path / "store", f"{call}:signal=KILL:when={number}")
    assert not run.is_complete
    run.judge()


def test_a_store_whose_disk_fails_ends_its_process_at_once(tmp_path: Path) -> None:
    needs_strace()
    run = Run(tmp_path / "store", "fdatasync:error=EIO:when=9")
    assert run.exit_code == STORE_FAILED
    run.judge()


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO", "error=ENOSPC"])
@pytest.mark.parametrize(
    "call", ["write", "fdatasync", "fsync", "openat", "unlink", "fallocate", "ftruncate"]
)
def test_a_store_killed_at_or_failed_by_each_call_of_a_run(
    tmp_path: Path, call: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_strace()
    met = unmet = 0
    for number in range(1, CALLS_MAX):
        folder = tmp_path / f"store-{number}"
        run = Run(folder, f"{call}:{fault}:when={number}")
        run.judge()
        shutil.rmtree(folder)
        met += not run.is_complete
        unmet = unmet + 1 if run.is_complete else 0
        if unmet == UNMET_MAX:
            break
    assert unmet == UNMET_MAX, f"more than {CALLS_MAX} calls of {call} in one run"
    is_borne = (call, fault) == ("fallocate", "error=ENOSPC")  # no room is reserved, and there is some
    assert met == 0 if is_borne else met > 0
    with capsys.disabled():
        print(f"\nstore, {call}: {fault} at each of {met} calls")  # noqa: T201
