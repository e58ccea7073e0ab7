"""The shard's loop on its real rings, turned by hand: who is served when, and what happens when the log is full."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actors.emit import P_TIME
from actors.shard import C_DROPPED_REPORTS, LANE_BATCH, LANE_CAPACITY, Lane
from actors.snapshot import state_hash
from core import commands
from core.records import ExecType, OrdStatus, Source
from core.rejects import Reject
from core.units import cash_e6, qty_e8
from shared_mem import log, ring
from shared_mem.idle import STRATEGIES, strategy
from tests.actors.desk import ASK_E8, CAPACITY, SEGMENT_BYTES, ShardDesk, deposit, instrument, order
from tests.shared_mem.desk import small_disk
from tests.shared_mem.loops import slots_given_back_too_early


def cancel(order_id: int, request_id: int = 7, source: Source = Source.GATEWAY) -> bytes:
    return commands.cancel(source=source, request_id=request_id, account=1, order_id=order_id)


def report(venue_seq: int, order_id: int, exec_type: int, filled_e8: int = 0) -> bytes:
    return commands.venue_report(
        venue_seq=venue_seq, order_id=order_id, exec_type=exec_type, ord_status=OrdStatus.NEW,
        last_qty_e8=filled_e8, last_px_e8=ASK_E8 if filled_e8 else 0,
    )  # fmt: skip


def test_answers_find_their_asker_by_source_and_request(a_shard: ShardDesk) -> None:
    a_shard.push(Lane.ORDERS_GATEWAY, order("a", source=Source.GATEWAY, request_id=11))
    a_shard.push(Lane.ORDERS_FIX_DOOR, order("b", source=Source.FIX_CLIENT, request_id=11))
    a_shard.turn_until_quiet()
    placed = {(e.source, e.request_id): e for e in a_shard.events()}
    assert {key: e.text for key, e in placed.items()} == {(1, 11): "a", (4, 11): "b"}
    mine = placed[1, 11].order_id
    a_shard.push(Lane.REPORTS_VENUE, report(1, mine, ExecType.NEW))
    a_shard.push(Lane.CANCELS_FIX_DOOR, cancel(mine, 12, Source.FIX_CLIENT))
    a_shard.turn_until_quiet()
    assert [(e.exec_type, e.source, e.request_id) for e in a_shard.events()] == [
        (ExecType.PENDING_CANCEL, 4, 12),
        (ExecType.NEW, 1, 11),
    ]


def test_a_report_that_comes_again_is_dropped(a_shard: ShardDesk) -> None:
    a_shard.push(Lane.ORDERS_GATEWAY, order("a"))
    a_shard.turn_until_quiet()
    placed = a_shard.events()[0]
    for venue_seq in (5, 5, 4, 6):
        a_shard.push(Lane.REPORTS_VENUE, report(venue_seq, placed.order_id, ExecType.TRADE, qty_e8(2)))
    a_shard.turn_until_quiet()
    assert [e.cum_qty_e8 for e in a_shard.events()] == [qty_e8(2), qty_e8(4)]
    assert a_shard.shard.control[C_DROPPED_REPORTS] == 2


def test_a_cancel_does_not_wait_behind_a_flood_of_orders(a_shard: ShardDesk) -> None:
    n = 0
    while a_shard.push(Lane.ORDERS_GATEWAY, order(f"o{n}")):
        n += 1
    assert n == LANE_CAPACITY
    assert a_shard.turn() == LANE_BATCH
    first = a_shard.events()[0]
    a_shard.push(Lane.CANCELS_GATEWAY, cancel(first.order_id))
    assert a_shard.turn() == LANE_BATCH + 1
    assert a_shard.events()[0].exec_type == ExecType.PENDING_CANCEL


def test_the_quote_that_stands_is_the_one_that_counts_and_is_logged(a_shard: ShardDesk) -> None:
    a_shard.quote(ask_e8=ASK_E8 // 2)
    a_shard.push(Lane.ORDERS_GATEWAY, order("dear"))
    a_shard.turn_until_quiet()
    event = a_shard.events()[0]
    assert event.reject_code == Reject.PRICE_OUTSIDE_COLLAR
    a_shard.quote()
    a_shard.push(Lane.ORDERS_GATEWAY, order("fair"))
    a_shard.turn_until_quiet()
    assert a_shard.events()[0].reject_code == 0


def test_time_never_goes_back(a_shard: ShardDesk) -> None:
    ahead = time.time_ns() + 10**13
    a_shard.shard.out.pen[P_TIME] = ahead
    for n in range(5):
        a_shard.push(Lane.ADMIN, deposit(n + 1))
    a_shard.turn_until_quiet()
    assert [e.time_ns for e in a_shard.events()] == [ahead + n for n in range(1, 6)]


def test_a_clock_set_back_leaves_quotes_as_fresh_as_they_are(a_shard: ShardDesk) -> None:
    """The log's time stays an hour ahead, and so must the time of a quote that comes by the new clock."""
    a_shard.shard.out.pen[P_TIME] = time.time_ns() + 3600 * 10**9
    a_shard.push(Lane.ADMIN, instrument(quote_age_ms_max=60_000))
    for age_ns in (0, 61 * 10**9):
        a_shard.quote(age_ns=age_ns)
        a_shard.push(Lane.ORDERS_GATEWAY, order(f"aged {age_ns}"))
        a_shard.turn_until_quiet()
    assert [e.reject_code for e in a_shard.events()] == [0, 0, Reject.NO_FRESH_QUOTE]


def test_a_quote_from_before_the_clock_was_set_back_grows_old_by_the_logs_time(a_shard: ShardDesk) -> None:
    a_shard.quote(age_ns=-3600 * 10**9)
    a_shard.push(Lane.ADMIN, instrument(quote_age_ms_max=60_000))
    a_shard.turn_until_quiet()
    for passed_ns in (3600 * 10**9, 3661 * 10**9):
        a_shard.shard.out.pen[P_TIME] = time.time_ns() + passed_ns
        a_shard.push(Lane.ORDERS_GATEWAY, order(f"passed {passed_ns}"))
        a_shard.turn_until_quiet()
    assert [e.reject_code for e in a_shard.events()] == [0, 0, Reject.NO_FRESH_QUOTE]


def test_a_text_longer_than_the_slot_touches_nobody_else(a_shard: ShardDesk) -> None:
    """Only a broken producer sends one; it must not write over the next order's row or the log."""
    for name in ("before", "x"):
        a_shard.push(Lane.ORDERS_GATEWAY, order(name))
    rogue = bytearray(order("y" * 128))
    rogue[4:6] = (60_000).to_bytes(2, "little")
    a_shard.push(Lane.ORDERS_GATEWAY, bytes(rogue))
    a_shard.push(Lane.ORDERS_GATEWAY, order("after"))
    a_shard.turn_until_quiet()
    assert [e.text for e in a_shard.events()] == ["before", "x", "y" * 128, "after"]


def test_a_log_that_fills_rejects_then_holds_orders_and_still_serves_cancels(a_shard: ShardDesk) -> None:
    """The flusher stands still. Orders are rejected, then held; cancels pass until the last reserve; all goes on."""
    codes: list[int] = []
    pushed = 0
    while True:
        while a_shard.push(Lane.ORDERS_GATEWAY, order(f"o{pushed}", qty_e8=qty_e8(1))):
            pushed += 1
        taken = a_shard.turn()
        codes += [e.reject_code for e in a_shard.events()]
        if taken == 0:
            break
    first = codes.index(Reject.LOG_FULL)
    assert Reject.LOG_FULL not in codes[:first]
    assert set(codes[first:]) == {Reject.LOG_FULL}
    held = len(a_shard.shard.lanes[Lane.ORDERS_GATEWAY])
    assert held == LANE_CAPACITY == pushed - len(codes)

    cancels = 0
    a_shard.push(Lane.CANCELS_GATEWAY, cancel(1))
    while a_shard.turn():
        cancels += 1
        a_shard.push(Lane.CANCELS_GATEWAY, cancel(1))
    assert cancels > 50, "cancels are served from the reserve"
    assert len(a_shard.shard.lanes[Lane.ORDERS_GATEWAY]) == held
    tail = a_shard.shard.writer.tail
    assert tail.written - tail.synced <= tail.segment_bytes

    a_shard.events()
    a_shard.flusher.flush()
    a_shard.turn_until_quiet()
    assert len(a_shard.shard.lanes[Lane.ORDERS_GATEWAY]) == 0
    answered = [e for e in a_shard.events() if e.text]
    assert len(answered) == held
    a_shard.push(Lane.ORDERS_GATEWAY, order("now", account=9))
    a_shard.turn_until_quiet()
    assert a_shard.events()[0].reject_code == Reject.ACCOUNT_UNKNOWN


def is_full(desk: ShardDesk) -> bool:
    return desk.flusher.disk_full


def test_a_full_disk_rejects_orders_serves_cancels_and_lets_all_go_on_when_there_is_room(
    tmp_path: Path, run_dir: Path
) -> None:
    """The segment being written was reserved before; the next can't be. What cancels need is on disk all the same."""
    with small_disk(tmp_path, SEGMENT_BYTES * 7 // 2) as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(SEGMENT_BYTES * 9 // 4))
        desk = ShardDesk(disk / "log", run_dir, CAPACITY._replace(orders=1024))
        desk.open_market()
        codes: list[int] = []
        placed: list[int] = []
        while codes[-20:] != [Reject.LOG_FULL] * 20:
            assert desk.push(Lane.ORDERS_GATEWAY, order(f"o{len(codes)}", qty_e8=qty_e8(1)))
            desk.turn()
            desk.flusher.flush()
            for event in desk.events():
                codes.append(event.reject_code)
                placed += [] if event.reject_code else [event.order_id]
        assert len(placed) > 20
        assert is_full(desk)
        for order_id in placed[:20]:
            desk.push(Lane.CANCELS_GATEWAY, cancel(order_id))
            desk.turn()
            desk.flusher.flush()
        assert [e.exec_type for e in desk.events()] == [ExecType.PENDING_CANCEL] * 20
        tail = desk.shard.writer.tail
        assert tail.synced == tail.written, "the cancels are on disk"
        filler.unlink()
        while is_full(desk):
            desk.push(Lane.CANCELS_GATEWAY, cancel(1))
            desk.turn()
            desk.flusher.flush()
        desk.events()
        desk.push(Lane.ORDERS_GATEWAY, order("there is room", qty_e8=qty_e8(1)))
        desk.turn()
        assert desk.events()[-1].reject_code == 0
        desk.close()


def test_a_restart_takes_nothing_twice_and_forgets_nothing(a_shard: ShardDesk) -> None:
    """Killed between publishing a command and giving its slot back: the slot is still there for the next."""
    a_shard.push(Lane.ADMIN, deposit(cash_e6(1)))
    a_shard.push(Lane.ADMIN, deposit(cash_e6(2)))
    lane = a_shard.shard.lanes[Lane.ADMIN]
    head = bytes(lane._segment.view[ring.HEAD : ring.HEAD + 8])
    assert a_shard.turn() == 2
    lane._segment.view[ring.HEAD : ring.HEAD + 8] = head
    again = ShardDesk(a_shard.log_dir, a_shard.run_dir)
    assert again.shard.state.accounts[0]["cash_e6"] == cash_e6(1_000_003)
    assert again.turn() == 0
    assert again.recovered.state_hash == state_hash(a_shard.shard.state)


def test_a_restart_from_the_files_alone_gives_the_same_state(a_shard: ShardDesk) -> None:
    a_shard.push(Lane.ORDERS_GATEWAY, order("kept"))
    a_shard.turn_until_quiet()
    a_shard.flusher.flush()
    log.tail_path(a_shard.run_dir).unlink()
    again = ShardDesk(a_shard.log_dir, a_shard.run_dir)
    assert again.recovered.state_hash == state_hash(a_shard.shard.state)
    assert again.recovered.commands_replayed == 4


def test_a_start_survives_a_tail_torn_at_any_byte_of_the_last_command(a_shard: ShardDesk) -> None:
    """Also between the command and its event: the command is then as if it had never come."""
    a_shard.flusher.flush()
    before, start = state_hash(a_shard.shard.state), a_shard.shard.writer.position
    a_shard.push(Lane.ADMIN, deposit(cash_e6(1)))
    a_shard.turn()
    a_shard.flusher.flush()
    end = a_shard.shard.writer.position
    path = log.segment_path(a_shard.log_dir, 0)
    whole, after = path.read_bytes(), state_hash(a_shard.shard.state)
    for cut in range(start, end, 12):
        path.write_bytes(whole[:cut] + bytes(len(whole) - cut))
        log.tail_path(a_shard.run_dir).unlink()
        again = ShardDesk(a_shard.log_dir, a_shard.run_dir)
        nothing_torn = not any(whole[cut:end])  # the last bytes are zeros anyway
        assert again.recovered.state_hash == (after if nothing_torn else before), f"torn at {cut}"
        assert again.shard.writer.position == (end if nothing_torn else start)


@pytest.mark.parametrize("name", STRATEGIES)
def test_running_it_answers_everything_and_stops_in_order(a_shard: ShardDesk, name: str) -> None:
    """Whatever it does when there is nothing to do."""
    a_shard.shard._idle = strategy(name)
    a_shard.shard.start()
    a_shard.running = True
    for n in range(50):
        while not a_shard.push(Lane.ADMIN, deposit(cash_e6(1), request_id=100 + n)):
            time.sleep(0)
    a_shard.shard.stop()
    a_shard.running = False
    assert [e.request_id for e in a_shard.events()] == list(range(100, 150))
    tail = a_shard.shard.writer.tail
    assert tail.synced == tail.written


def test_a_slot_is_given_back_only_when_its_command_is_published(a_shard: ShardDesk) -> None:
    """Else a kill in between would lose the command: it is neither in the ring nor in the log."""
    a_shard.push(Lane.ADMIN, deposit(1))
    before = a_shard.shard.writer.position
    a_shard.turn_until_quiet()
    size = a_shard.shard.writer.position - before
    count = LANE_CAPACITY
    for n in range(count):
        a_shard.push(Lane.ADMIN, deposit(n + 1))
    lane, tail = a_shard.shard.lanes[Lane.ADMIN], a_shard.shard.writer.tail
    head = int.from_bytes(lane._segment.view[ring.HEAD : ring.HEAD + 8], "little")
    watched = (lane.address, tail.address, head, tail.written, size)
    slots_given_back_too_early(*watched, 0)  # compiled before the race begins
    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(slots_given_back_too_early, *watched, count)
        a_shard.shard.start()
        a_shard.running = True
        assert watching.result() == 0
