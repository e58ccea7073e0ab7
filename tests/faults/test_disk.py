"""The log's disk full, and failing, under a whole stack that trades."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.shard import LANE_FILES, Lane
from app import config
from app.admin import alone
from core import commands
from shared_mem.bell import Bell
from shared_mem.flusher import EXIT_DISK_FAILED
from shared_mem.log import SEGMENT_BYTES, Tail
from shared_mem.ring import Ring
from tests.acceptance.audit import Log, assert_the_ledger_is_the_log
from tests.acceptance.desk import Trader, eventually, flowing, frozen
from tests.faults.desk import a_trader, all_agree, far_order
from tests.faults.strace import injected, needs_strace
from tests.stack import ROOT, Stack, free_port_base

pytestmark = [pytest.mark.faults, pytest.mark.stack]

# One segment of the log fits, and not two.
DISK_BYTES = SEGMENT_BYTES * 3 // 2
MORE_BYTES = 8 * SEGMENT_BYTES
LOG_FULL = 501


def _mount(folder: Path, options: str) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")


@pytest.fixture
def a_stack_on_a_small_disk(tmp_path: Path) -> Iterator[Stack]:
    """Its log, that is: the servers have their own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes root")
    stack = Stack(tmp_path / "data", free_port_base())
    log_dir = stack.data_dir / "log"
    log_dir.mkdir(parents=True)
    _mount(log_dir, f"size={DISK_BYTES}")
    try:
        stack.start()
        yield stack
    finally:
        stack.discard()
        subprocess.run(["umount", "-l", str(log_dir)], check=True)


def _fill(stack: Stack, up_to: int) -> None:
    """The log, with payments into the demo account, a millionth of a dollar each."""
    settings = config.load({"data_dir": str(stack.data_dir), "port_base": str(stack.port_base)}, {}, ROOT)
    tail = Tail.attach(stack.run_dir)
    lane = Ring.attach(stack.run_dir / LANE_FILES[Lane.ADMIN], bell=Bell.attach(stack.run_dir / "bell.shard"))
    number = time.time_ns()
    with alone(settings):
        while tail.written < up_to:
            number += 1
            if not lane.try_push(commands.deposit(request_id=number, account=1, amount_e6=1)):
                time.sleep(0.001)


def _refused_as_full(trader: Trader) -> bool:
    before = len(trader.answers)
    order = far_order(trader)
    return order is None and list(trader.answers.values())[before:] != [200]


def test_a_full_disk_refuses_orders_serves_cancels_and_goes_on_when_there_is_room(
    a_stack_on_a_small_disk: Stack,
) -> None:
    stack = a_stack_on_a_small_disk
    trader = a_trader(stack)
    resting = [far_order(trader) for _ in range(5)]
    with frozen(stack, "publisher"):  # a hundred thousand payments are no story of its
        _fill(stack, SEGMENT_BYTES // 2)
    eventually(lambda: _refused_as_full(trader), "the refusal of an order")
    refused = [event for event in Log(stack).order_events if event.reject_code == LOG_FULL]
    assert refused, "with its own code"
    for order in resting[:3]:
        assert order is not None
        assert trader.cancel(order) == 204
        eventually(
            lambda order=order: trader.order(order)["status"] == "canceled", "the cancel on a full disk"
        )
    subprocess.run(["mount", "-o", f"remount,size={MORE_BYTES}", str(stack.data_dir / "log")], check=True)
    eventually(lambda: far_order(trader) is not None, "an order, now that there is room")
    assert len(trader.open_orders()) >= 3
    trader.cancel_all()
    assert_the_ledger_is_the_log(trader, Log(stack))
    all_agree(stack)


def test_a_failing_disk_ends_the_shard_and_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    needs_strace()
    stack = Stack(tmp_path / "data", free_port_base(), {"gate": "synced"})
    try:
        stack.start()
        trader = a_trader(stack)
        with flowing(trader) as flow:
            for call in ("fdatasync", "pwrite64", "fdatasync"):
                flow.wait_for_orders(25)
                old = int(stack.processes()["shard"]["pid"])
                with injected(old, f"{call}:error=EIO:when=3"):
                    stack.wait_for_restart("shard", old)
        said = (stack.data_dir / "logs" / "shard.log").read_text()
        assert said.count("of the log failed") + said.count("to the log failed") == 3
        told = (stack.data_dir / "logs" / "supervisor.log").read_text()
        assert told.count(f"ended with exit code {EXIT_DISK_FAILED}") == 3
        assert_the_ledger_is_the_log(trader, Log(stack))
        trader.cancel_all()
        all_agree(stack)
    finally:
        stack.discard()
