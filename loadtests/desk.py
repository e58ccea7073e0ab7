"""The desk that the core's benchmarks run on: a shard, its tables filled by commands, its pages touched.

Always holds: accounts, cash, instruments and quotes come in by the shard's own rings, as they would in production, so
nothing here knows a table's layout. Commands are one template and a few words that change from one to the next
(`Feed`); all randomness is drawn before a clock starts. A command that is rejected fails the benchmark.
"""

from __future__ import annotations

import mmap
import re
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from actors import shard as shard_module
from actors.emit import Command, Out
from actors.shard import LANE_CAPACITY, TICKS_CAPACITY, Lane, Shard, Wiring
from actors.tables import R_ACCOUNTS, R_COMMANDS, R_GROUPS, R_INSTRUMENTS, R_ORDERS, Array, Capacity, State
from core import commands
from core.records import (
    COMMAND_BYTES,
    DEFINE_GROUP,
    FIELDS_BYTES,
    HEAD,
    NEW_ORDER,
    OPEN_ACCOUNT,
    TICK,
    TICK_BYTES,
    Level,
    OrdType,
    Side,
    Source,
    TickKind,
    TimeInForce,
)
from shared_mem import broadcast, log, ring
from shared_mem.atomics import (
    CLOCK_MONOTONIC,
    clock_ns,
    load_acquire,
    load_i64,
    pause,
    store_i64,
    store_release,
)
from shared_mem.flusher import Flusher
from shared_mem.idle import Idle
from shared_mem.jit import jit

INSTRUMENTS: Final = 10_000
BID_E8, ASK_E8 = 99 * 10**8, 100 * 10**8
# Enough for every order of a benchmark: the most that a thousand million shares cost.
CASH_E6: Final = 10**17
LIMIT_QTY_E8: Final = 10**13
# Above the accounts: a firm, its desks, their advisors, the advisors' households.
DESKS, ADVISORS, HOUSEHOLD_ACCOUNTS = 8, 256, 3
GROUP_LIMIT_E6: Final = 10**18
TEXT_LENGTH: Final = 16
ZIPF_EXPONENT: Final = 1.1
# Of a table that a benchmark does not fill.
FEW_ROWS: Final = 64

# madvise(2): only pages of 4 KiB here; take those that are there together into pages of 2 MiB, now (Linux 6.1).
_MADV_NOHUGEPAGE: Final = 15
_MADV_COLLAPSE: Final = 25


class Pages(Enum):
    """Of what size the state's and the log tail's pages are: as a shard asks for them, or made so."""

    AS_SHIPPED = "as shipped"
    SMALL = "4 KiB"
    HUGE = "2 MiB"


class Feed(NamedTuple):
    """Commands (or ticks): a template, and for each the words that differ, by their offset in the record."""

    template: Array  # uint8, one record
    offsets: Array  # int64 (k,)
    words: Array  # int64 (n, k)


@jit
def patch(feed: Feed, number: int) -> int:
    """Make the template the command of that number; its address."""
    address = feed.template.ctypes.data
    for k in range(len(feed.offsets)):
        store_i64(address + feed.offsets[k], feed.words[number, k])
    return address


@jit
def drive(
    state: State, out: Out, command: Command, wiring: Wiring, tail: int, lane: int, feed: Feed, first: int, count: int,
    by_hand: bool, scratch: int,
) -> tuple[int, int]:  # fmt: skip
    """Put `count` commands of a feed, from number `first` on, into a lane and serve them, a ring full at a time.

    Returns the nanoseconds inside the shard's code, and those waited for the flusher. by_hand: there is none; the
    mark that it would move is moved here, so that the log's tail is written over and over."""
    spent = 0
    waited = 0
    done = 0
    while done < count:
        pushed = 0
        while pushed < min(count - done, LANE_CAPACITY):
            if not ring.try_push(lane, patch(feed, first + done + pushed), COMMAND_BYTES):
                break
            pushed += 1
        before = clock_ns(CLOCK_MONOTONIC, scratch)
        if by_hand:
            store_release(tail + log.SYNCED, load_acquire(tail + log.WRITTEN))
        while log.room(tail, load_acquire(tail + log.WRITTEN)) < load_i64(tail + log.SEGMENT_SIZE) // 2:
            pause()
        begin = clock_ns(CLOCK_MONOTONIC, scratch)
        taken = 0
        while taken < pushed:
            taken += shard_module.serve_lanes(state, out, command, wiring, 0)
        spent += clock_ns(CLOCK_MONOTONIC, scratch) - begin
        waited += begin - before
        done += pushed
    return spent, waited


@jit
def publish_ticks(base: int, feed: Feed, first: int, count: int) -> None:
    for i in range(count):
        broadcast.publish(base, patch(feed, first + i), TICK_BYTES)


@jit
def drain_ticks(state: State, wiring: Wiring, count: int, scratch: int) -> int:
    """Take `count` ticks; nanoseconds."""
    begin = clock_ns(CLOCK_MONOTONIC, scratch)
    taken = 0
    while taken < count:
        taken += shard_module.take_ticks(state, wiring)
    return clock_ns(CLOCK_MONOTONIC, scratch) - begin


class Links(NamedTuple):
    """The u4 of each command that names another actor, at the beginning of a word."""

    offset: int
    numbers: Array


def offset_of(layout: np.dtype[Any], field: str) -> int:
    fields = layout.fields
    assert fields is not None
    return int(fields[field][1])


def _letters(numbers: np.ndarray) -> np.ndarray:
    """Eight letters A to P for each number below 2**32, as one word each."""
    x = numbers.astype(np.uint64)
    for shift, mask in ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F)):
        x = (x | x << np.uint64(shift)) & np.uint64(mask)
    return (x + np.uint64(0x4141414141414141)).astype(np.int64)


def feed(template: bytes, words: Mapping[int, np.ndarray], size: int = COMMAND_BYTES) -> Feed:
    """words: columns by offset, all of one length."""
    offsets = sorted(words)
    record = np.frombuffer(template.ljust(size, b"\0"), np.uint8).copy()
    columns = np.ascontiguousarray(np.stack([words[offset] for offset in offsets], axis=1), dtype=np.int64)
    return Feed(record, np.array(offsets, np.int64), columns)


def _named(template: bytes, count: int, first: int = 0, links: Links | None = None) -> Feed:
    """Commands with a text of their own, made of the numbers from `first` on."""
    numbers = np.arange(first, first + count)
    words = {
        offset_of(HEAD, "request_id"): numbers,
        FIELDS_BYTES: _letters(numbers),
        FIELDS_BYTES + 8: np.full(count, int.from_bytes(b"TRADEWIN", "little")),
    }
    if links is not None:
        rest = int.from_bytes(template[links.offset : links.offset + 8], "little") >> 32
        words[links.offset] = links.numbers.astype(np.int64) | rest << 32
    return feed(template, words)


def names_word(accounts: np.ndarray, instruments: np.ndarray) -> np.ndarray:
    """Account and instrument stand beside each other in a command's head: one word."""
    assert offset_of(HEAD, "instrument") == offset_of(HEAD, "account") + 4
    return accounts.astype(np.int64) | instruments.astype(np.int64) << 32


def orders_feed(
    accounts: np.ndarray, instruments: np.ndarray, seed: int, first: int = 0, qty_e8: int | None = None
) -> Feed:
    """Buys of 1 to 10, or of `qty_e8`, at the ask; the client's order id is 16 characters. first: the number of the
    first one."""
    count = len(accounts)
    template = commands.new_order(
        source=Source.GATEWAY, request_id=0, account=0, instrument=0, side=Side.BUY, ord_type=OrdType.LIMIT,
        tif=TimeInForce.DAY, qty_e8=0, price_e8=ASK_E8, client_order_id="-" * TEXT_LENGTH,
    )  # fmt: skip
    numbers = first + np.arange(count)
    quantities = (
        np.random.default_rng(seed).integers(1, 11, count) * 10**8 if qty_e8 is None else [qty_e8] * count
    )
    words = {
        offset_of(HEAD, "account"): names_word(accounts, instruments),
        offset_of(HEAD, "request_id"): numbers,
        offset_of(NEW_ORDER, "qty_e8"): np.array(quantities, np.int64),
        FIELDS_BYTES: _letters(numbers),
        FIELDS_BYTES + 8: np.full(count, int.from_bytes(b"CLIENT..", "little")),
    }
    return feed(template, words)


def draw(accounts: int, count: int, seed: int, *, zipf: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(accounts, instruments) of `count` orders, each drawn at random; zipf: the accounts with weight
    1 / rank**ZIPF_EXPONENT, the ranks spread over the table."""
    random = np.random.default_rng(seed)
    instruments = random.integers(1, INSTRUMENTS + 1, count)
    if not zipf:
        return random.integers(1, accounts + 1, count), instruments
    weights = np.cumsum(np.arange(1, accounts + 1, dtype=np.float64) ** -ZIPF_EXPONENT)
    ranks = np.searchsorted(weights, random.random(count) * weights[-1])
    return random.permutation(accounts)[ranks] + 1, instruments


def ticks_feed(instruments: np.ndarray) -> Feed:
    """A quote for each of these instruments, fresh now."""
    template = np.zeros(1, TICK)
    template["bid_e8"], template["ask_e8"] = BID_E8, ASK_E8
    template["bid_size_e8"] = template["ask_size_e8"] = 10**10
    assert offset_of(TICK, "kind") == offset_of(TICK, "instrument") + 4
    words = {
        offset_of(TICK, "instrument"): instruments.astype(np.int64) | int(TickKind.QUOTE) << 32,
        offset_of(TICK, "published_ns"): np.full(len(instruments), time.time_ns()),
    }
    return feed(template.tobytes(), words, TICK_BYTES)


def power_of_two(least: int) -> int:
    return 1 << max(least - 1, 1).bit_length()


def groups_over(accounts: int) -> dict[Level, int]:
    """How many groups of each level stand above so many accounts."""
    return {
        Level.FIRM: 1,
        Level.DESK: DESKS,
        Level.ADVISOR: ADVISORS,
        Level.HOUSEHOLD: -(-accounts // HOUSEHOLD_ACCOUNTS),
    }


def capacity_for(accounts: int, orders: int) -> Capacity:
    """Tables for so many accounts and orders, each order on a position of its own. An index is at most half full, and
    no row is used twice."""
    rows = max(power_of_two(orders), FEW_ROWS)
    return tables(
        accounts=max(power_of_two(accounts), FEW_ROWS),
        groups=max(power_of_two(sum(groups_over(accounts).values())), FEW_ROWS),
        instruments=power_of_two(INSTRUMENTS),
        positions=rows,
        orders=rows,
    )


def tables(**rows: int) -> Capacity:
    """Tables of so many rows; those that are not named have a few."""
    return Capacity(**{name: rows.get(name, FEW_ROWS) for name in Capacity._fields})


class Desk:
    """A shard in this process. A benchmark serves it itself (`drive`), or starts threads on its parts.

    pages: all of them touched; `huge_bytes` says how much of it the system has given in pages of 2 MiB.
    flushing: a real flusher runs beside; otherwise the mark that it moves is moved by hand."""

    def __init__(
        self,
        folder: Path,
        capacity: Capacity,
        *,
        log_dir: Path | None = None,
        pages: Pages = Pages.AS_SHIPPED,
        flushing: bool = False,
    ) -> None:
        self.capacity = capacity
        self.run_dir, self.log_dir = folder / "run", log_dir or folder / "log"
        self.flushing = flushing
        self.shard = Shard(self.log_dir, self.run_dir, capacity=capacity, idle=Idle())
        before = _huge_bytes()
        self.shard.recover()
        for segment in (self.shard._segment, self.shard.writer.tail.segment):
            if pages is Pages.SMALL:
                _advise(segment.memory, _MADV_NOHUGEPAGE)
            segment.prefault()
            if pages is Pages.HUGE:
                _advise(segment.memory, _MADV_COLLAPSE)
        self.huge_bytes = _huge_bytes() - before
        self._scratch = np.zeros(2, np.int64)
        self._flusher = Flusher(self.shard.writer)
        if flushing:
            self._flusher.start()

    def close(self) -> None:
        if self.flushing:
            self._flusher.stop()
        self.shard.writer.close()
        self.shard._bell.close()

    @property
    def state(self) -> Any:
        return self.shard.state

    @property
    def tail(self) -> int:
        return self.shard.writer.tail.address

    def register(self, number: int) -> int:
        return int(self.state.registers[number])

    def lane(self, lane: Lane) -> int:
        return self.shard.lanes[lane].address

    def serve(
        self, lane: Lane, commands: Feed, first: int = 0, count: int | None = None, drive: Any = drive
    ) -> tuple[int, int]:
        """(nanoseconds in the shard's code, nanoseconds waited for the flusher) of these commands."""
        count = len(commands.words) - first if count is None else count
        shard = self.shard
        before = self.register(R_COMMANDS)
        spent, waited = drive(
            shard.state, shard.out, shard.command, shard.wiring, self.tail, self.lane(lane), commands,
            first, count, not self.flushing, self._scratch.ctypes.data,
        )  # fmt: skip
        assert self.register(R_COMMANDS) - before == count, "commands were dropped"
        return int(spent), int(waited)

    def open_market(
        self, accounts: int, instruments: int = INSTRUMENTS, *, in_households: bool = True
    ) -> None:
        """Accounts with cash and limits, instruments with a fresh quote, by commands and ticks."""
        asked = commands.define_instrument(
            request_id=0, symbol="-" * TEXT_LENGTH, tick_e8=10**6, lot_e8=10**8, max_order_qty_e8=LIMIT_QTY_E8,
            collar_bps=500, quote_age_ms_max=10**9,
        )  # fmt: skip
        self.serve(Lane.ADMIN, _named(asked, instruments))
        households = self._open_groups(accounts) if in_households else np.zeros(1, np.int64)
        asked = commands.open_account(
            request_id=0, number="-" * TEXT_LENGTH, max_order_qty_e8=LIMIT_QTY_E8,
            max_order_notional_e6=LIMIT_QTY_E8, max_position_qty_e8=10**15,
        )  # fmt: skip
        links = Links(offset_of(OPEN_ACCOUNT, "household"), households[np.arange(accounts) % len(households)])
        self.serve(Lane.ADMIN, _named(asked, accounts, links=links))
        numbers = np.arange(1, accounts + 1)
        words = {offset_of(HEAD, "account"): names_word(numbers, np.zeros(accounts))}
        self.serve(Lane.ADMIN, feed(commands.deposit(request_id=0, account=0, amount_e6=CASH_E6), words))
        found = self.register(R_ACCOUNTS), self.register(R_INSTRUMENTS)
        assert found == (accounts, instruments), f"the desk has {found} accounts and instruments"
        assert int(self.state.accounts["cash_e6"][accounts - 1]) == CASH_E6, "a deposit was refused"
        self.quote(np.arange(1, instruments + 1))

    def _open_groups(self, accounts: int) -> Array:
        """Firm, desks, advisors and households, each with limits that no order meets; the households' numbers."""
        numbers = np.zeros(1, np.int64)  # the firm is in no group
        made = 0
        for level, count in groups_over(accounts).items():
            asked = commands.define_group(
                request_id=0, name="-" * TEXT_LENGTH, level=level, max_order_notional_e6=GROUP_LIMIT_E6,
                max_open_notional_e6=GROUP_LIMIT_E6, max_gross_e6=GROUP_LIMIT_E6,
            )  # fmt: skip
            links = Links(offset_of(DEFINE_GROUP, "parent"), numbers[np.arange(count) % len(numbers)])
            self.serve(Lane.ADMIN, _named(asked, count, first=made, links=links))
            numbers = np.arange(made + 1, made + count + 1)
            made += count
        assert self.register(R_GROUPS) == made, "a group was refused"
        return numbers

    def quote(self, instruments: np.ndarray) -> int:
        """Bring a quote for each into the instrument actors; nanoseconds in the shard's code."""
        assert len(instruments) <= TICKS_CAPACITY // 2, "a reader that starts late begins half a ring back"
        publish_ticks(self.shard._ticks.address, ticks_feed(instruments), 0, len(instruments))
        shard = self.shard
        return int(drain_ticks(shard.state, shard.wiring, len(instruments), self._scratch.ctypes.data))

    @property
    def orders(self) -> int:
        """Order rows in use: the orders accepted, as long as no row was used twice."""
        return self.register(R_ORDERS)


def _advise(memory: mmap.mmap, advice: int) -> None:
    """Best effort: the kernel may be too old, have no pages of 2 MiB left, or none for this file system."""
    try:
        memory.madvise(advice)
    except OSError:
        return


def _huge_bytes() -> int:
    """Bytes of shared memory that this process maps by pages of 2 MiB."""
    found = re.findall(r"^ShmemPmdMapped:\s+(\d+) kB", Path("/proc/self/smaps").read_text(), re.MULTILINE)
    return 1024 * sum(map(int, found))
