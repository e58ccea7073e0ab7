"""A command that kills its shard: found in the dead hand, put aside in its slot, answered, and replayed as such.

The shards that die here are processes, killed by the hardware: one row of their own memory points far outside of it.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import poison
from actors.amended import SKIPS_MAX, Skip, TooManySkips, Watch, add_skip, skips_of
from actors.recovery import Offer
from actors.replay import ReplayDiverged, Replica
from actors.shard import Lane, Shard
from actors.snapshot import Snapshot, restore, state_hash, take
from actors.tables import R_VENUE_SEQ
from core import commands
from core.records import (
    COMMAND_BYTES,
    FIELDS_BYTES,
    ORIGINAL_KIND,
    AccountState,
    CommandKind,
    EventKind,
    ExecType,
    OrdStatus,
    Source,
)
from core.rejects import Reject
from core.units import cash_e6, qty_e8
from shared_mem.log import Reader, Tail
from shared_mem.log_reader import LogReader, Record
from tests.actors.desk import CAPACITY, SEGMENT_BYTES, Desk, ShardDesk, account, deposit, order

_FORK = multiprocessing.get_context("fork")
# A household's number that is far outside of its table, and of everything that a process has mapped.
WILD = 1 << 31


def _doomed(log_dir: Path, run_dir: Path, row: int) -> None:
    shard = Shard(log_dir, run_dir, capacity=CAPACITY, segment_bytes=SEGMENT_BYTES)
    faulthandler.disable()
    shard.recover()
    shard.state.accounts[row]["household"] = WILD
    shard.start()
    signal.pause()


def die_of(desk: ShardDesk, row: int = 1) -> int:
    """A shard in a process of its own, until that has died; its exit code."""
    child = _FORK.Process(target=_doomed, args=(desk.log_dir, desk.run_dir, row), daemon=True)
    child.start()
    child.join(60)
    assert child.exitcode is not None, "it lives"
    return child.exitcode


@pytest.fixture
def a_second_account(a_shard: ShardDesk) -> ShardDesk:
    """Account 2, of which orders will kill the shard; account 1 is well."""
    for raw in (account("TW000002"), deposit(cash_e6(1_000_000), account=2)):
        a_shard.push(Lane.ADMIN, raw)
    a_shard.turn_until_quiet()
    a_shard.events()
    a_shard.shard.writer.close()
    return a_shard


def successor(desk: ShardDesk) -> ShardDesk:
    return ShardDesk(desk.log_dir, desk.run_dir)


def put_aside(desk: ShardDesk, found: poison.InHand, crashes: int = 3) -> None:
    lane = desk.shard.lanes[Lane(found.lane)]
    assert poison.oldest(lane, found.place) is not None
    poison.put_aside(lane, crashes)


def test_a_dead_shard_is_found_with_the_command_that_it_died_of(a_second_account: ShardDesk) -> None:
    desk = a_second_account
    desk.push(Lane.ORDERS_GATEWAY, order("fine"))
    desk.push(Lane.ORDERS_GATEWAY, order("poison", account=2, request_id=77))
    desk.push(Lane.ORDERS_GATEWAY, order("fine too"))
    assert die_of(desk) == -signal.SIGSEGV
    first = poison.in_hand(Tail.attach(desk.run_dir))
    assert first is not None
    assert (first.lane, first.kind) == (Lane.ORDERS_GATEWAY, CommandKind.NEW_ORDER)
    assert die_of(desk) == -signal.SIGSEGV
    assert poison.in_hand(Tail.attach(desk.run_dir)) == first, "the same command, at the same place"

    last = successor(desk)
    put_aside(last, first)
    last.turn_until_quiet()
    fine, refused, fine_too = last.events()[-3:]
    assert (fine.text, fine.exec_type) == ("fine", ExecType.PENDING_NEW)
    assert (refused.text, refused.exec_type, refused.reject_code) == (
        "poison", ExecType.REJECTED, Reject.COMMAND_QUARANTINED,
    )  # fmt: skip
    assert (refused.request_id, refused.account, refused.observed_value) == (77, 2, 3)
    assert (refused.ord_status, refused.qty_e8) == (OrdStatus.REJECTED, qty_e8(10))
    assert (fine_too.text, fine_too.exec_type) == ("fine too", ExecType.PENDING_NEW)
    assert last.shard.state.accounts[1]["reserved_e6"] == 0
    assert replayed(last) == state_hash(last.shard.state)


def test_the_log_keeps_the_bytes_and_the_place_of_what_was_put_aside(a_second_account: ShardDesk) -> None:
    desk = a_second_account
    sent = order("poison", account=2)
    desk.push(Lane.ORDERS_GATEWAY, sent)
    die_of(desk)
    found = poison.in_hand(Tail.attach(desk.run_dir))
    assert found is not None
    last = successor(desk)
    assert poison.oldest(last.shard.lanes[Lane.ORDERS_GATEWAY], found.place) == sent
    put_aside(last, found, crashes=5)
    last.turn_until_quiet()
    (kept,) = [r for r in records(last) if r.kind == CommandKind.QUARANTINE]
    fields = kept.payload[:FIELDS_BYTES]
    at = slice(40, ORIGINAL_KIND)
    assert fields[at] == sent[at], "but for the quote, which the shard would have stamped"
    assert kept.payload[FIELDS_BYTES:] == b"poison"
    told = commands.decode(kept.payload)
    assert (told["original_kind"], told["crashes"]) == (CommandKind.NEW_ORDER, 5)
    assert (told["lane_seq"], told["flags"] >> 8) == (found.place, Lane.ORDERS_GATEWAY)


def test_a_shard_that_dies_of_nothing_in_hand_accuses_no_command(a_second_account: ShardDesk) -> None:
    desk = a_second_account
    assert poison.in_hand(Tail.attach(desk.run_dir)) is None
    child = _FORK.Process(target=_doomed, args=(desk.log_dir, desk.run_dir, 7), daemon=True)
    child.start()
    desk.push(Lane.ORDERS_GATEWAY, order("fine"))
    reader = LogReader(desk.log_dir, desk.run_dir, Reader.PUBLISHER, Tail.attach(desk.run_dir).written)
    while not reader.read():
        child.join(0.01)
    child.kill()
    child.join()
    assert poison.in_hand(Tail.attach(desk.run_dir)) is None


def test_what_an_earlier_epoch_left_behind_the_end_accuses_no_command(a_second_account: ShardDesk) -> None:
    desk = a_second_account
    desk.push(Lane.ORDERS_GATEWAY, order("poison", account=2))
    die_of(desk)
    last = successor(desk)  # opens the log, takes nothing, and dies
    last.shard.writer.close()
    assert poison.in_hand(Tail.attach(desk.run_dir)) is None


def test_a_quarantine_that_was_not_taken_is_taken_by_the_next_shard(a_second_account: ShardDesk) -> None:
    desk = a_second_account
    desk.push(Lane.ORDERS_GATEWAY, order("poison", account=2))
    die_of(desk)
    found = poison.in_hand(Tail.attach(desk.run_dir))
    assert found is not None
    killed = successor(desk)
    put_aside(killed, found)
    killed.shard.writer.close()
    last = successor(desk)
    last.turn_until_quiet()
    assert [e.reject_code for e in last.events()[-1:]] == [Reject.COMMAND_QUARANTINED]


def records(desk: ShardDesk) -> list[Record]:
    reader = LogReader(desk.log_dir, desk.run_dir, Reader.AUDIT)
    found: list[Record] = []
    while more := reader.read():
        found += more
    reader.close()
    return found


def replayed(desk: ShardDesk) -> str:
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    replica.follow(LogReader(desk.log_dir, desk.run_dir, Reader.SNAPSHOTS))
    return state_hash(replica.state)


# --- what a quarantine does to the state ------------------------------------------------------------------------


def test_a_cancel_and_a_replace_are_refused_in_their_senders_words(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy()
    cancel = commands.cancel(source=Source.GATEWAY, request_id=9, account=1, order_id=placed.order_id)
    refused = desk.do(commands.quarantine(cancel, 3))
    assert (refused.exec_type, refused.reject_code, refused.request_id, refused.order_id) == (
        ExecType.CANCEL_REJECT, Reject.COMMAND_QUARANTINED, 9, placed.order_id,
    )  # fmt: skip
    replace = commands.replace(
        source=Source.GATEWAY, request_id=10, account=1, instrument=1, order_id=placed.order_id,
        client_order_id="other", qty_e8=qty_e8(5),
    )  # fmt: skip
    assert desk.do(commands.quarantine(replace, 3)).exec_type == ExecType.REPLACE_REJECT
    assert desk.cancel(placed.order_id).exec_type == ExecType.PENDING_CANCEL, "it is as it was"


def a_fill(order_id: int, venue_seq: int) -> bytes:
    return commands.venue_report(
        venue_seq=venue_seq, order_id=order_id, exec_type=ExecType.TRADE, ord_status=OrdStatus.FILLED,
        last_qty_e8=qty_e8(10), last_px_e8=10**10, exec_id="X99", text="X99",
    )  # fmt: skip


def test_a_report_put_aside_is_not_booked_and_its_account_may_only_reduce(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy()
    event = desk.do(commands.quarantine(a_fill(placed.order_id, 99), 3))
    assert (event.kind, event.account, event.state) == (EventKind.QUARANTINE, 1, AccountState.REDUCING)
    assert (event.original_kind, event.crashes, event.text) == (CommandKind.VENUE_REPORT, 3, "X99")
    assert desk.state.registers[R_VENUE_SEQ] == 99, "a repetition of it is known as one"
    assert desk.reserved() > 0
    assert desk.buy().reject_code == Reject.ACCOUNT_REDUCING
    assert state_hash(desk.replica().state) == desk.hash()


def test_a_retried_report_is_booked_as_if_it_came_now(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy()
    report = a_fill(placed.order_id, 99)
    desk.do(commands.quarantine(report, 3))
    desk.do(a_fill(0, 120))  # the venue has gone on meanwhile
    event = desk.do(commands.retry(report))
    assert (event.exec_type, event.ord_status, event.last_qty_e8) == (
        ExecType.TRADE, OrdStatus.FILLED, qty_e8(10),
    )  # fmt: skip
    assert desk.reserved() == 0
    assert desk.state.registers[R_VENUE_SEQ] == 120
    assert desk.do(commands.retry(report)).reject_code != 0, "and once"
    replica = desk.replica()
    assert state_hash(replica.state) == desk.hash()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # one desk serves all examples
@given(
    raw=st.binary(min_size=COMMAND_BYTES, max_size=COMMAND_BYTES),
    kind=st.sampled_from(sorted(CommandKind)),
    crashes=st.integers(0, 0xFFFF),
)
def test_whatever_is_put_aside_moves_no_money_and_no_order(
    a_funded_account: Desk, raw: bytes, kind: CommandKind, crashes: int
) -> None:
    desk = a_funded_account
    if not desk.reserved():
        desk.buy()
    without_text = int(kind).to_bytes(2, "little") + raw[2:4] + bytes(2) + raw[6:]
    before = books(desk)
    event = desk.do(commands.quarantine(without_text, crashes))
    assert (event.reject_code, event.observed_value) == (Reject.COMMAND_QUARANTINED, crashes)
    assert books(desk) == before


def books(desk: Desk) -> bytes:
    """Money, orders and positions; of an account all but its state."""
    state = desk.state
    accounts = state.accounts.copy()
    accounts["state"], accounts["version"] = 0, 0
    return b"".join(part.tobytes() for part in (accounts, state.orders, state.positions, state.executions))


# --- a command that stands in the log ---------------------------------------------------------------------------


def _recovering(log_dir: Path, run_dir: Path, snapshot: Snapshot) -> None:
    faulthandler.disable()
    watch = Watch(run_dir / "replay.at")
    shard = Shard(log_dir, run_dir, capacity=CAPACITY, segment_bytes=SEGMENT_BYTES)
    shard.recover(offered(snapshot), watch=watch)
    watch.done()


def offered(snapshot: Snapshot) -> list[Offer]:
    return [Offer("a test", snapshot.epoch, snapshot.seq, snapshot.log_position, lambda: snapshot)]


def recover_in_a_process(desk: ShardDesk, snapshot: Snapshot) -> int:
    """Its exit code."""
    words = (desk.log_dir, desk.run_dir, snapshot)
    child = _FORK.Process(target=_recovering, args=words, daemon=True)
    child.start()
    child.join(60)
    assert child.exitcode is not None, "it hangs"
    return child.exitcode


def replica_from(desk: ShardDesk, snapshot: Snapshot | None) -> Replica:
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    if snapshot is not None:
        restore(snapshot, replica.state)
    replica.follow(LogReader(desk.log_dir, desk.run_dir, Reader.SNAPSHOTS))
    return replica


@pytest.fixture
def a_log_that_kills(a_second_account: ShardDesk) -> tuple[ShardDesk, Snapshot, int]:
    """A snapshot in which account 2 is ill, and the log after it, with an order of account 2: its number."""
    desk = successor(a_second_account)
    replica = replica_from(desk, None)
    replica.state.accounts[1]["household"] = WILD
    snapshot = take(replica.state)
    desk.events()
    desk.quote()
    for raw in (order("before"), order("poison", account=2), order("after")):
        desk.push(Lane.ORDERS_GATEWAY, raw)
    desk.turn_until_quiet()
    _, poison_event, _ = desk.events()
    assert poison_event.exec_type == ExecType.PENDING_NEW, "it was acknowledged"
    number = poison_event.order_id
    desk.push(Lane.REPORTS_VENUE, a_fill(number, 5))
    desk.push(Lane.ORDERS_GATEWAY, order("last"))
    desk.turn_until_quiet()
    desk.close()
    desk.shard.writer.close()
    return desk, snapshot, number


def test_a_replay_that_dies_again_and_again_names_the_one_command(
    a_log_that_kills: tuple[ShardDesk, Snapshot, int],
) -> None:
    desk, snapshot, number = a_log_that_kills
    (place,) = [r.position for r in records(desk) if r.seq == number]
    crashes = []
    for _ in range(4):
        assert recover_in_a_process(desk, snapshot) == -signal.SIGSEGV
        watch = Watch(desk.run_dir / "replay.at")
        crashes.append(watch.crashes)
    assert crashes == [0, 1, 2, 3], "the first death only says about where"
    assert watch.died_in is not None
    assert watch.died_in.position == place


def test_a_replays_deaths_are_counted_for_one_place_only(
    a_log_that_kills: tuple[ShardDesk, Snapshot, int],
) -> None:
    desk, snapshot, number = a_log_that_kills
    (place,) = [r.position for r in records(desk) if r.seq == number]
    watch = Watch(desk.run_dir / "replay.at")
    for _ in range(9):
        watch.one(place + 288, 8)  # and then SIGKILL, each time at the same place
        watch = Watch(desk.run_dir / "replay.at")
    assert watch.crashes == 9
    assert recover_in_a_process(desk, snapshot) == -signal.SIGSEGV
    found = Watch(desk.run_dir / "replay.at")
    assert found.died_in is not None
    assert (found.died_in.position, found.crashes) == (place, 1), "counted anew, at its own place"


def test_a_skipped_command_is_left_out_by_every_replay(
    a_log_that_kills: tuple[ShardDesk, Snapshot, int],
) -> None:
    desk, snapshot, number = a_log_that_kills
    (place,) = [r.position for r in records(desk) if r.seq == number]
    add_skip(desk.log_dir, Skip(place, number))
    assert recover_in_a_process(desk, snapshot) == 0
    (skip,) = skips_of(desk.log_dir)
    assert skip.until == Tail.attach(desk.run_dir).written

    last = ShardDesk(desk.log_dir, desk.run_dir, offers=offered(snapshot))
    names = {bytes(text).rstrip(b"\0").decode() for text in last.shard.state.order_texts[:4]}
    assert names == {"before", "after", "last", ""}
    assert last.shard.state.accounts[1]["reserved_e6"] == 0
    assert last.shard.state.accounts[1]["cash_e6"] == cash_e6(1_000_000), "nor is its fill booked"
    last.push(Lane.ADMIN, commands.passed_over(account=2, seq=number, kind=1, crashes=3))
    last.push(Lane.ORDERS_GATEWAY, order("new"))
    last.turn_until_quiet()
    told, accepted = last.events()[-2:]
    assert (told.kind, told.account, told.state, told.place) == (
        EventKind.QUARANTINE, 2, AccountState.REDUCING, number,
    )  # fmt: skip
    assert accepted.exec_type == ExecType.PENDING_NEW
    living = state_hash(last.shard.state)
    assert state_hash(replica_from(last, snapshot).state) == living
    assert replica_from(last, None).seq == accepted.seq, (
        "from the beginning too: there it is left out as well"
    )


def test_what_follows_the_skip_is_held_to_its_events_again(
    a_log_that_kills: tuple[ShardDesk, Snapshot, int],
) -> None:
    desk, snapshot, number = a_log_that_kills
    before, after = [r for r in records(desk) if r.kind == CommandKind.NEW_ORDER][1:3]
    assert before.seq == number
    add_skip(desk.log_dir, Skip(before.position, number, until=after.position))
    with pytest.raises(ReplayDiverged):  # the fill of the order that is not there
        replica_from(desk, snapshot)


def test_a_log_takes_only_so_many_skips(tmp_path: Path) -> None:
    for n in range(SKIPS_MAX):
        add_skip(tmp_path, Skip(n, n))
    add_skip(tmp_path, Skip(0, 0))
    with pytest.raises(TooManySkips, match="restore it from a copy"):
        add_skip(tmp_path, Skip(SKIPS_MAX, SKIPS_MAX))
