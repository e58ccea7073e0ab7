"""The reconciler over random interleavings: no false break, every difference found once, and bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import BreakKind, ExecType, Side
from fix.executions import Break, Execution
from fix.reconciler import SNAPSHOT_PENDING_MAX, Reconciler
from fix.store import STATE_BYTES_MAX

GRACE_NS: Final = 1000
START_NS: Final = 1_000_000
TRADE: Final = int(ExecType.TRADE)
QTY: Final = 10**8
PX: Final = 150 * 10**8

# What can be wrong with one execution: what the copy makes of it (None: nothing is told), and the break.
ALTERED: Final[dict[BreakKind, dict[str, object]]] = {
    BreakKind.ORDER: {"order_id": 10_000},
    BreakKind.SIDE: {"side": int(Side.SELL)},
    BreakKind.QUANTITY: {"last_qty_e8": QTY + 1},
    BreakKind.PRICE: {"last_px_e8": PX + 1},
    BreakKind.SYMBOL: {"symbol": "XOM"},
}


def execution(number: int, order_id: int = 1, cum: int = 1, **changes: object) -> Execution:
    values: dict[str, object] = {
        "exec_id": f"E{number}", "order_id": order_id, "exec_type": TRADE, "side": int(Side.BUY), "symbol": "AAPL",
        "last_qty_e8": QTY, "last_px_e8": PX, "cum_qty_e8": cum * QTY, "transact_time_ns": START_NS + number,
    }  # fmt: skip
    return Execution(**{**values, **changes})  # type: ignore[arg-type]


def ours(told: Execution) -> Execution:
    """The log's tale knows the account and the instrument."""
    return changed(told, account=1, instrument=7)


def changed(told: Execution, **changes: object) -> Execution:
    values = {name: getattr(told, name) for name in Execution.__struct_fields__}
    return Execution(**{**values, **changes})


@dataclass
class Tape:
    """Both streams put into a reconciler, a step of time each; its breaks as (kind, ExecID)."""

    reconciler: Reconciler = field(default_factory=lambda: Reconciler(GRACE_NS))
    now_ns: int = START_NS
    copies_since_ns: int | None = START_NS
    read_to_ns: int = START_NS
    breaks: list[Break] = field(default_factory=list)

    def logged(self, told: Execution) -> None:
        self._keep(self.reconciler.logged(ours(told), self.now_ns))

    def copied(self, told: Execution) -> None:
        self._keep(self.reconciler.copied(told, self.now_ns))

    def passes(self, ns: int = 1) -> None:
        self.now_ns += ns
        if self.reconciler.has_room_for_log:
            self.read_to_ns = self.now_ns
        self.breaks += self.reconciler.due(self.now_ns, self.copies_since_ns, self.read_to_ns)

    def found(self) -> list[tuple[BreakKind, str]]:
        return [(found.kind, found.execution.exec_id) for found in self.breaks]

    def _keep(self, found: Break | None) -> None:
        if found is not None:
            self.breaks.append(found)


def history(rng: Random, orders: int) -> list[Execution]:
    """Some trades of each order, as a venue tells them: those of one order in their order."""
    waiting = [order_id for order_id in range(1, orders + 1) for _ in range(rng.randint(1, 4))]
    rng.shuffle(waiting)
    cum: dict[int, int] = {}
    told = []
    for number, order_id in enumerate(waiting):
        cum[order_id] = cum.get(order_id, 0) + 1
        told.append(execution(number, order_id, cum[order_id]))
    return told


def play(tape: Tape, rng: Random, log: list[Execution], copy: list[Execution]) -> None:
    """Both in their order, interleaved by chance, in fewer steps than the grace has."""
    left = {"log": list(log), "copy": list(copy)}
    while left["log"] or left["copy"]:
        which = rng.choice([name for name, rest in left.items() if rest])
        told = left[which].pop(0)
        (tape.logged if which == "log" else tape.copied)(told)
        tape.passes(rng.randint(0, 2))


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_two_equal_tales_in_any_interleaving_are_no_break_and_leave_nothing(seed: int, orders: int) -> None:
    rng, tape = Random(seed), Tape()
    told = history(rng, orders)
    play(tape, rng, told, told)
    tape.passes(2 * GRACE_NS)
    assert tape.breaks == []
    assert tape.reconciler.pending == (0, 0)


@given(st.integers(0, 2**32), st.lists(st.sampled_from([*BreakKind]), min_size=1, max_size=8))
def test_every_difference_is_found_once_and_nothing_else(seed: int, kinds: list[BreakKind]) -> None:
    rng, tape = Random(seed), Tape()
    told = history(rng, len(kinds) + 5)
    log, copy, wanted = list(told), list(told), []
    for order_id, kind in enumerate(kinds, 1):
        one = rng.choice([each for each in told if each.order_id == order_id])
        if kind is BreakKind.MISSING_AT_VENUE:
            copy.remove(one)
        elif kind is BreakKind.MISSING_HERE:
            log.remove(one)
        elif kind is BreakKind.UNKNOWN_ORDER:
            one = execution(1000 + order_id, order_id=0)
            copy.insert(rng.randrange(len(copy)), one)
        else:
            copy[copy.index(one)] = changed(one, **ALTERED[kind])
        wanted.append((kind, one.exec_id))
    play(tape, rng, log, copy)
    tape.passes(2 * GRACE_NS)
    assert sorted(tape.found()) == sorted(wanted)
    assert tape.reconciler.pending == (0, 0)
    for one in told:  # and what comes late or again is settled
        tape.copied(one)
    tape.passes(2 * GRACE_NS)
    assert sorted(tape.found()) == sorted(wanted)


@given(st.integers(0, 2**32), st.sampled_from(sorted(ALTERED)))
def test_a_restart_from_a_snapshot_finds_the_same_breaks_once(seed: int, kind: BreakKind) -> None:
    """The log is read and the copy is resent from where the snapshot stood; breaks raised since stand in the log."""
    rng = Random(seed)
    told = history(rng, 12)
    log, copy = list(told), list(told)
    lost = copy.pop(rng.randrange(len(copy)))
    wrong = rng.choice([one for one in copy if one.order_id != lost.order_id])
    copy[copy.index(wrong)] = changed(wrong, **ALTERED[kind])
    tape = Tape()
    at_log, at_copy = rng.randint(0, len(log)), rng.randint(0, len(copy))
    play(tape, rng, log[:at_log], copy[:at_copy])
    snapshot, before = tape.reconciler.snapshot(), list(tape.breaks)
    assert snapshot is not None
    play(tape, rng, log[at_log:], copy[at_copy:])  # lost with the process, but for the breaks
    if rng.random() < 0.5:
        tape.passes(2 * GRACE_NS)
    anew = Tape(now_ns=tape.now_ns, copies_since_ns=tape.now_ns)
    anew.reconciler.restore(snapshot)
    for found in tape.breaks[len(before) :]:
        anew.reconciler.raised(found.execution.exec_id, found.execution.order_id)
        if found.kind is BreakKind.ORDER:
            anew.reconciler.raised(found.execution.exec_id, found.venues)
    for told_by_log in log[at_log:]:  # to its end before anything is judged, as the role does
        anew.logged(told_by_log)
    play(anew, rng, [], copy[at_copy:])
    anew.passes(2 * GRACE_NS)
    found_in_both = sorted(tape.found() + anew.found())
    assert found_in_both == sorted([(BreakKind.MISSING_AT_VENUE, lost.exec_id), (kind, wrong.exec_id)])


@pytest.mark.parametrize("early", ["log", "copy"])
def test_what_comes_within_the_grace_is_no_break(early: str) -> None:
    tape = Tape()
    (tape.logged if early == "log" else tape.copied)(execution(1))
    tape.passes(GRACE_NS - 1)
    assert tape.breaks == []
    (tape.copied if early == "log" else tape.logged)(execution(1))
    tape.passes(10 * GRACE_NS)
    assert tape.breaks == []


def test_a_copy_whose_line_is_down_is_not_missing_until_it_was_up_for_a_grace() -> None:
    tape = Tape(copies_since_ns=None)
    tape.logged(execution(1))
    tape.logged(execution(2, 2))
    tape.passes(100 * GRACE_NS)
    tape.copies_since_ns = tape.now_ns
    tape.passes(GRACE_NS - 1)
    tape.copied(execution(1))
    assert tape.breaks == []
    tape.passes(1)
    assert tape.found() == [(BreakKind.MISSING_AT_VENUE, "E2")]


def test_a_copy_is_not_missing_here_while_the_log_is_behind() -> None:
    reconciler = Reconciler(GRACE_NS)
    reconciler.copied(execution(1), START_NS)
    assert list(reconciler.due(START_NS + 100 * GRACE_NS, START_NS, START_NS + GRACE_NS - 1)) == []
    (found,) = reconciler.due(START_NS + 100 * GRACE_NS, START_NS, START_NS + GRACE_NS)
    assert found.kind is BreakKind.MISSING_HERE


def test_a_venue_may_number_its_copies_apart() -> None:
    tape = Tape()
    tape.logged(execution(1))
    tape.copied(changed(execution(1), exec_id="COPY-1"))
    tape.passes(2 * GRACE_NS)
    assert (tape.breaks, tape.reconciler.pending) == ([], (0, 0))


def test_a_fill_that_we_booked_twice_is_missing_at_the_venue_once() -> None:
    tape = Tape()
    for _ in range(2):
        tape.logged(execution(1))
        tape.copied(execution(1))
    tape.passes(2 * GRACE_NS)
    assert tape.found() == [(BreakKind.MISSING_AT_VENUE, "E1")]
    assert tape.breaks[0].execution.account == 1


def totalled(tape: Tape, order_id: int, low: int, high: int, px: int = PX) -> None:
    """Our log has booked the order's CumQty from low to high without an ExecID."""
    booked = execution(0, order_id, high, exec_id="", last_qty_e8=(high - low) * QTY, last_px_e8=px)
    tape.reconciler.booked_by_total(ours(booked), tape.now_ns)


@given(st.integers(0, 2**32), st.integers(1, 30), st.booleans())
def test_fills_that_were_booked_by_a_total_are_told_by_the_copies_that_make_it_up(
    seed: int, orders: int, over_a_restart: bool
) -> None:
    """In any order, before and after it was booked, with prices of their own."""
    rng, tape = Random(seed), Tape()
    for order_id in range(1, orders + 1):
        cum, parts = 0, []
        for number in range(rng.randint(1, 4)):
            cum += rng.randint(1, 5)
            parts.append((number, cum, rng.randint(1, 10**12)))
        booked_at = rng.randint(0, len(parts))
        low, paid = 0, 0
        copies = []
        for number, high, px in parts:
            copies.append(
                execution(
                    order_id * 10 + number, order_id, high, last_qty_e8=(high - low) * QTY, last_px_e8=px
                )
            )
            paid += (high - low) * px
            low = high
        rng.shuffle(copies)
        for number, copy in enumerate([*copies, None]):
            if number == booked_at:
                totalled(tape, order_id, 0, cum, round(paid / cum))
            if copy is not None:
                tape.copied(copy)
            if over_a_restart and (snapshot := tape.reconciler.snapshot()) is not None:
                tape.reconciler = Reconciler(GRACE_NS)
                tape.reconciler.restore(snapshot)
        tape.passes(rng.randint(0, 9))
    tape.passes(2 * GRACE_NS)
    assert (tape.breaks, tape.reconciler.pending) == ([], (0, 0))


def test_a_total_that_the_venue_does_not_tell_whole_is_missing_there_once() -> None:
    tape = Tape()
    totalled(tape, 1, 0, 4)
    tape.copied(execution(1, 1, 3, last_qty_e8=3 * QTY))
    tape.passes(2 * GRACE_NS)
    assert [(found.kind, found.ours, found.venues) for found in tape.breaks] == [
        (BreakKind.MISSING_AT_VENUE, QTY, 0)
    ]
    tape.passes(2 * GRACE_NS)
    assert len(tape.breaks) == 1


def test_a_total_of_other_money_than_the_copies_tell_is_a_break_of_its_price() -> None:
    tape = Tape()
    totalled(tape, 1, 0, 2, PX + 10**6)
    tape.copied(execution(1, 1, 1))
    tape.copied(execution(2, 1, 2))
    assert tape.found() == [(BreakKind.PRICE, "")]


def test_a_copy_beside_a_total_is_missing_here() -> None:
    tape = Tape()
    totalled(tape, 1, 1, 3)
    tape.copied(execution(1, 1, 1))
    tape.copied(execution(2, 1, 2))
    tape.copied(execution(3, 1, 3))
    tape.passes(2 * GRACE_NS)
    assert tape.found() == [(BreakKind.MISSING_HERE, "E1")]


def test_a_break_of_a_total_that_stands_in_the_log_is_not_raised_again() -> None:
    tape = Tape()
    totalled(tape, 1, 0, 4)
    tape.reconciler.raised("", 1)
    tape.passes(2 * GRACE_NS)
    assert tape.breaks == []


def test_what_happened_before_it_began_concerns_neither_side() -> None:
    tape = Tape(Reconciler(GRACE_NS, begin_ns=START_NS + 5))
    tape.logged(execution(4))
    tape.copied(execution(3))
    tape.logged(execution(5))
    tape.passes(2 * GRACE_NS)
    assert tape.found() == [(BreakKind.MISSING_AT_VENUE, "E5")]


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_its_memory_is_bounded_and_full_sides_are_judged(seed: int) -> None:
    """Two streams that have nothing in common: each is taken as far as there is room, for ever."""
    rng = Random(seed)
    tape = Tape(Reconciler(GRACE_NS, pending_max=32, remembered_max=16))
    for number in range(2000):
        if tape.reconciler.has_room_for_log and rng.random() < 0.7:
            tape.logged(execution(number, number + 1))
        if tape.reconciler.has_room_for_copies and rng.random() < 0.7:
            tape.copied(execution(number + 10**6, number + 10**6))
        tape.passes(rng.choice([0, 1, 200]))
        assert max(tape.reconciler.pending) <= 32
    tape.passes(2 * GRACE_NS)
    assert tape.reconciler.pending == (0, 0)
    assert len(tape.reconciler._told) <= 16
    assert len(tape.reconciler._closed) <= 16


def test_a_snapshot_fits_a_session_store_and_is_not_given_while_too_much_is_under_way() -> None:
    reconciler = Reconciler(GRACE_NS)
    for number in range(SNAPSHOT_PENDING_MAX):
        name = f"{number:0128}"  # as long as the log lets an ExecID be, and every number as wide as can be
        reconciler.raised("Y" + name[1:], 2**62)
        told = execution(number, 2**62 + number, exec_id=name, last_qty_e8=2**62, transact_time_ns=2**62)
        (reconciler.logged if number % 2 else reconciler.copied)(told, 2**62)
    snapshot = reconciler.snapshot()
    assert snapshot is not None
    assert len(snapshot) < STATE_BYTES_MAX - 1024
    reconciler.logged(execution(1), START_NS)
    assert reconciler.snapshot() is None
