"""A bell: a consumer that sleeps is woken, whatever moment the producer's push falls into."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from shared_mem.atomics import compare_and_swap
from shared_mem.bell import AWAKE, DRAIN_BYTES, Bell, sleep_on
from shared_mem.jit import jit
from shared_mem.log import load_word
from shared_mem.ring import Ring
from tests.shared_mem.desk import PATIENCE_S, Child
from tests.shared_mem.loops import push_one_by_one, take_parked

ROUNDS = 6_000


def _echo(run_dir: Path) -> None:
    """Parks after each record and answers each; a lost wake-up leaves it asleep with a record in its ring."""
    bell = Bell.create(run_dir / "bell")
    ring = Ring.create(run_dir / "r", 8, 8, bell=bell)
    answers = Ring.attach(run_dir / "answers", bell=Bell.attach(run_dir / "bell.answers"))
    for _ in range(ROUNDS):
        while (record := _pop_or_park(ring, bell)) is None:
            pass
        answers.try_push(record)


def _pop_or_park(ring: Ring, bell: Bell) -> bytes | None:
    record = ring.pop()
    if record is None:
        bell.park()
        record = ring.pop()
        if record is None:
            if not bell.wait(PATIENCE_S):
                os._exit(3 if len(ring) else 4)
        else:
            bell.wake()
    return record


def test_no_wake_up_is_lost_between_two_processes(run_dir: Path) -> None:
    Bell.create(run_dir / "bell")
    Ring.create(run_dir / "r", 8, 8)
    bell = Bell.create(run_dir / "bell.answers")
    answers = Ring.create(run_dir / "answers", 8, 8)
    child = Child(_echo, run_dir)
    ring = Ring.attach(run_dir / "r", bell=Bell.attach(run_dir / "bell"))
    for n in range(ROUNDS):
        assert ring.try_push(n.to_bytes(8, "little"))
        while (record := _pop_or_park(answers, bell)) is None:
            pass
        assert int.from_bytes(record, "little") == n
    assert child.join() == 0


def test_an_awake_consumer_costs_no_byte_and_a_parked_one_exactly_one(run_dir: Path) -> None:
    bell = Bell.create(run_dir / "bell")
    producer = Bell.attach(run_dir / "bell")

    def rung() -> bool:
        return sleep_on(bell.fileno(), 0)

    producer.ring()
    assert not rung()
    bell.park()
    for _ in range(3):
        producer.ring()
    assert rung()
    assert os.read(bell.fileno(), 100) != b""
    assert not rung(), "one byte for one park"
    bell.park()
    producer.ring()
    bell.wake()
    assert not rung()
    producer.ring()
    assert not rung(), "awake again"


def test_waiting_ends_with_the_ring_or_with_the_time(run_dir: Path) -> None:
    bell = Bell.create(run_dir / "bell")
    bell.park()
    assert bell.wait(0) is False
    bell.park()
    Bell.attach(run_dir / "bell").ring()
    assert bell.wait(PATIENCE_S) is True
    bell.close()


def test_no_wake_up_is_lost_at_full_speed(run_dir: Path) -> None:
    """The push falls between the consumer's flag and its last look: a fence on each side decides it."""
    count = 60_000
    bell = Bell.create(run_dir / "bell")
    ring = Ring.create(run_dir / "r", 8, 8)
    record, scratch = np.zeros(1, np.int64), np.zeros(1 + DRAIN_BYTES // 8, np.int64)
    fd, address = bell.fileno(), int(scratch.ctypes.data)
    take_parked(ring.address, bell.flag, fd, address, 0, 0)  # compiled before the race begins
    push_one_by_one(ring.address, int(record.ctypes.data), bell.flag, fd, 0)
    with ThreadPoolExecutor(2) as threads:
        taking = threads.submit(take_parked, ring.address, bell.flag, fd, address, 1000 * PATIENCE_S, count)
        pushing = threads.submit(push_one_by_one, ring.address, int(record.ctypes.data), bell.flag, fd, count)
        taken = taking.result()
        while not pushing.done():
            ring.pop()  # lets a producer go on whose consumer gave up
    assert taken == count


@jit
def take_down(flag: int, seen: int) -> int:
    return 1 if compare_and_swap(flag, seen, AWAKE) else 0


def test_a_slow_producer_does_not_take_down_the_flag_of_the_next_parking(run_dir: Path) -> None:
    """It has written its byte and stands before its last step while the consumer wakes, works and parks again."""
    bell = Bell.create(run_dir / "bell")
    bell.park()
    seen = int(load_word(bell.flag))
    os.write(bell.fileno(), b"x")
    assert bell.wait(PATIENCE_S)
    bell.park()
    assert take_down(bell.flag, seen) == 0
    Bell.attach(run_dir / "bell").ring()
    assert bell.wait(0)


def _push_and_die(run_dir: Path) -> None:
    """After the push, before the ring."""
    Ring.attach(run_dir / "r").try_push(b"pushed")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_producer_killed_before_it_rang_is_made_good_by_its_successor(run_dir: Path) -> None:
    bell = Bell.create(run_dir / "bell")
    ring = Ring.create(run_dir / "r", 8, 8, bell=bell)
    bell.park()
    assert len(ring) == 0
    Child(_push_and_die, run_dir).join()
    assert not sleep_on(bell.fileno(), 0)
    Ring.attach(run_dir / "r", bell=Bell.attach(run_dir / "bell"))
    assert bell.wait(PATIENCE_S)
    assert ring.pop() == b"pushed\0\0"


def _park_and_sleep(run_dir: Path) -> None:
    bell = Bell.create(run_dir / "bell")
    Ring.create(run_dir / "r", 8, 8, bell=bell)
    bell.park()
    (run_dir / "parked").touch()
    bell.wait(PATIENCE_S)


def test_a_consumer_killed_in_its_sleep_leaves_its_records_to_the_next(run_dir: Path) -> None:
    child = Child(_park_and_sleep, run_dir)
    while not (run_dir / "parked").exists():
        pass
    child.kill()
    producer = Ring.attach(run_dir / "r", bell=Bell.attach(run_dir / "bell"))
    assert producer.try_push(b"while it was dead"[:8])
    bell = Bell.create(run_dir / "bell")
    ring = Ring.create(run_dir / "r", 8, 8, bell=bell)
    assert ring.pop() == b"while it"
    bell.park()
    bell.wait(0)  # what was rung for the dead one wakes the living one once too often, which does no harm
    bell.park()
    producer.try_push(b"and now")
    assert bell.wait(PATIENCE_S)
