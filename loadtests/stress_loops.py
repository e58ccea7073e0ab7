"""The compiled loops of the stress test: each fills or checks every word of what goes through shared memory.

A record's words are its number, mixed with their place: a torn, shifted or stale one does not check. What a loop finds
it counts in a ledger in shared memory, which outlives the process.
"""

from __future__ import annotations

from typing import Final

from shared_mem import broadcast, ring, table
from shared_mem.atomics import (
    fetch_add,
    load_acquire,
    load_i64,
    pause,
    poll_readable,
    read_fd,
    store_i64,
    store_release,
)
from shared_mem.bell import DRAIN_BYTES, PARKED, clear_flag, park_flag, ring_if_parked
from shared_mem.jit import jit
from shared_mem.segment import HEADER_BYTES

# Words of a ledger.
STOP: Final = HEADER_BYTES  # 1: producers end; 2: everybody, with what there is
NAME: Final = HEADER_BYTES + 8  # of the last record that a ring's consumer took
TORN: Final = HEADER_BYTES + 16
OUT_OF_ORDER: Final = HEADER_BYTES + 24  # taken twice, skipped, or older than what was seen before
LOST_WAKE_UPS: Final = HEADER_BYTES + 32
TAKEN: Final = HEADER_BYTES + 40
MISSED: Final = HEADER_BYTES + 48
LEDGER_BYTES: Final = 4096

_SALT: Final = 0x9E3779B97F4A7C15 - (1 << 64)
# About one record in so many is followed by a rest, so that the other side parks.
_REST_MASK: Final = 511
_REST_ROUNDS: Final = 4000
_NAME_MASK: Final = (1 << ring.SEQUENCE_BITS) - 1
# A consumer that sleeps this long with a record in its ring was not woken for it.
WAKE_MS: Final = 10_000
_LOOK_MS: Final = 100


@jit
def fill(record: int, words: int, number: int) -> None:
    for word in range(words):
        store_i64(record + 8 * word, number ^ word * _SALT)


@jit
def is_whole(record: int, words: int, number: int) -> bool:
    wrong = 0
    for word in range(words):
        wrong |= load_i64(record + 8 * word) ^ number ^ word * _SALT
    return wrong == 0


@jit
def _rest(number: int) -> None:
    if (number * _SALT >> 20) & _REST_MASK == 0:
        for _ in range(_REST_ROUNDS):
            pause()


@jit
def push(base: int, flag: int, fd: int, record: int, words: int, ledger: int) -> int:
    number = load_i64(base + ring.TAIL)
    while True:
        fill(record, words, number)
        while not ring.try_push(base, record, 8 * words):
            if load_acquire(ledger + STOP) != 0:
                return 0
            pause()
        ring_if_parked(flag, fd, PARKED)
        if load_acquire(ledger + STOP) != 0:
            return 0
        number += 1
        _rest(number)


@jit
def _sleep(fd: int, scratch: int, ledger: int) -> bool:
    """Until rung or told to end; False when nobody rang for all of WAKE_MS."""
    for _ in range(0, WAKE_MS, _LOOK_MS):
        if poll_readable(scratch, fd, _LOOK_MS) == 1 or load_acquire(ledger + STOP) == 2:
            return True
    return False


@jit
def take(base: int, flag: int, fd: int, scratch: int, words: int, ledger: int) -> int:
    """As a shard takes its commands: what was taken is noted, then its slot given back."""
    while True:
        record = ring.front(base)
        if record == 0:
            if load_acquire(ledger + STOP) == 2:
                return 0
            park_flag(flag, PARKED)
            if ring.front(base) == 0 and not _sleep(fd, scratch, ledger) and ring.front(base) != 0:
                fetch_add(ledger + LOST_WAKE_UPS, 1)
            clear_flag(flag)
            read_fd(fd, scratch + 8, DRAIN_BYTES)
            continue
        number = load_i64(base + ring.HEAD)
        name = ring.front_name(base)
        before = load_i64(ledger + NAME)
        if number != 0 and (before & _NAME_MASK) + 1 != number:
            fetch_add(ledger + OUT_OF_ORDER, 1)
        if not is_whole(record, words, number):
            fetch_add(ledger + TORN, 1)
        store_release(ledger + NAME, name)
        ring.release_front(base)


@jit
def flood(base: int, record: int, words: int, ledger: int) -> int:
    number = broadcast.next_sequence(base)
    while load_acquire(ledger + STOP) == 0:
        fill(record, words, number)
        broadcast.publish(base, record, 8 * words)
        number += 1
        _rest(number)
    return 0


@jit
def follow(base: int, target: int, words: int, ledger: int, sequence: int, counts: int) -> int:
    """Read a broadcast; counts: whether this reader's TAKEN and MISSED are kept. Where it came to."""
    while True:
        outcome = broadcast.read(base, sequence, target)
        if outcome == 0:
            if load_acquire(ledger + STOP) == 2:
                return sequence
            continue
        if outcome < 0:
            oldest = max(broadcast.oldest_sequence(base), sequence + 1)
            if counts:
                fetch_add(ledger + MISSED, oldest - sequence)
            sequence = oldest
            continue
        if not is_whole(target, words, sequence):
            fetch_add(ledger + TORN, 1)
        if counts:
            fetch_add(ledger + TAKEN, 1)
        sequence += 1


@jit
def put_rows(base: int, record: int, words: int, keys: int, ledger: int, number: int) -> int:
    """Rows of `words` words behind their key, each key with the same number before the next number begins."""
    while load_acquire(ledger + STOP) == 0:
        for key in range(keys):
            store_i64(record, key)
            fill(record + 8, words, number)
            table.put(base, record)
        number += 1
        _rest(number)
    return 0


@jit
def look(base: int, target: int, words: int, keys: int, ledger: int, newest: int) -> int:
    """Read rows in turn; newest: address of the number last seen of each key."""
    key = 0
    while load_acquire(ledger + STOP) != 2:
        key = (key + 1) % keys
        if key >= table.count(base):
            continue
        if table.read(base, key, target, table.TRIES_MAX) < 0:
            continue
        number = load_i64(target + 8)
        if load_i64(target) != key or not is_whole(target + 8, words, number):
            fetch_add(ledger + TORN, 1)
        if number < load_i64(newest + 8 * key):
            fetch_add(ledger + OUT_OF_ORDER, 1)
        store_i64(newest + 8 * key, number)
        fetch_add(ledger + TAKEN, 1)
    return 0
