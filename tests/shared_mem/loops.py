"""Compiled loops for the races that an interpreter is too slow to lose: each runs in a thread, without the GIL."""

from __future__ import annotations

from shared_mem import broadcast, log, ring, table
from shared_mem.atomics import load_acquire, load_i64, poll_readable, read_fd, store_i64
from shared_mem.bell import DRAIN_BYTES, PARKED, clear_flag, park_flag, ring_if_parked
from shared_mem.jit import jit


@jit
def flood(base: int, record: int, words: int, count: int) -> int:
    """Publish `count` records at address `record`, every word of each its number."""
    for number in range(count):
        for word in range(words):
            store_i64(record + 8 * word, number)
        broadcast.publish(base, record, 8 * words)
    return count


@jit
def take_untorn(base: int, target: int, words: int, count: int) -> tuple[int, int, int]:
    """Read until record `count`: (taken, missed, torn)."""
    sequence = taken = missed = torn = 0
    while sequence < count:
        outcome = broadcast.read(base, sequence, target)
        if outcome == 0:
            continue
        if outcome < 0:
            oldest = max(broadcast.oldest_sequence(base), sequence + 1)
            missed += oldest - sequence
            sequence = oldest
            continue
        for word in range(words):
            if load_i64(target + 8 * word) != sequence:
                torn += 1
                break
        taken += 1
        sequence += 1
    return taken, missed, torn


@jit
def put_numbered(base: int, record: int, words: int, count: int) -> int:
    """Put `count` records in batches of what room there is, every word of each its number."""
    room = 0
    for number in range(count):
        while room == 0:
            room = ring.room(base)
        for word in range(words):
            store_i64(record + 8 * word, number)
        ring.put(base, record, 8 * words)
        room -= 1
    return count


@jit
def take_numbered(base: int, words: int, most: int, count: int) -> int:
    """Take `count` records in batches of at most `most`: how many words were not their record's number."""
    wrong = taken = 0
    while taken < count:
        waiting = min(ring.waiting(base), most)
        for i in range(waiting):
            record = ring.at(base, i)
            for word in range(words):
                if load_i64(record + 8 * word) != taken + i:
                    wrong += 1
        ring.release(base, waiting)
        taken += waiting
    return wrong


@jit
def push_one_by_one(base: int, record: int, flag: int, fd: int, count: int) -> int:
    """Each record only when the one before has been taken: so the consumer parks around every push."""
    for number in range(count):
        while load_acquire(base + ring.HEAD) != load_i64(base + ring.TAIL):
            pass
        for _ in range(number & 63):  # at another moment of the consumer's parking each time
            load_acquire(base + ring.HEAD)
        ring.try_push(base, record, 8)
        ring_if_parked(flag, fd, PARKED)
    return count


@jit
def take_parked(base: int, flag: int, fd: int, scratch: int, timeout_ms: int, count: int) -> int:
    """Park before each record, as the shard does; how many were taken before a wake-up was lost."""
    for taken in range(count):
        while ring.front(base) == 0:
            park_flag(flag, PARKED)
            has_work = ring.front(base) != 0
            if not has_work and poll_readable(scratch, fd, timeout_ms) != 1:
                return taken
            clear_flag(flag)
            read_fd(fd, scratch + 8, DRAIN_BYTES)
        ring.release_front(base)
    return count


@jit
def slots_given_back_too_early(
    base: int, tail: int, start_head: int, start_written: int, record_bytes: int, count: int
) -> int:
    """Watch a consumer take `count` records of a ring into the log: how often a slot was free, its record not
    published. record_bytes: what each puts into the log."""
    early = 0
    while True:
        taken = load_acquire(base + ring.HEAD) - start_head
        if load_acquire(tail + log.WRITTEN) - start_written < taken * record_bytes:
            early += 1
        if taken >= count:
            return early


@jit
def put_numbers(base: int, record: int, words: int, start: int, count: int) -> int:
    """Put rows whose key is 0 and whose every other word is its number."""
    for number in range(start, count):
        store_i64(record, 0)
        for word in range(1, words + 1):
            store_i64(record + 8 * word, number)
        table.put(base, record)
    return count


@jit
def read_untorn(base: int, target: int, words: int, last: int) -> tuple[int, int, int]:
    """Read row 0 until it holds `last`: (reads, torn, gone back)."""
    reads = torn = back = before = 0
    while before < last:
        if table.read(base, 0, target, table.TRIES_MAX) < 0:
            continue
        number = load_i64(target + 8)
        for word in range(1, words + 1):
            if load_i64(target + 8 * word) != number:
                torn += 1
                break
        if number < before:
            back += 1
        before = number
        reads += 1
    return reads, torn, back
