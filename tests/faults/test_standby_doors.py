"""What waits for the standby: orders at the shard and at the doors, FIX bytes at the wire, numbers in the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from actors.shard import Lane
from app import child, standby_command
from app.process import Process, State
from app.roles import DOORS, Role
from core import commands
from core.records import ExecType, Source
from core.rejects import Reject
from fix.guarded_wire import Guard, GuardedWire
from fix.session import Sent
from fix.store import Store
from gateways.standby_watch import StandbyWatch
from services.standby import standing
from services.standby.files import Shipper, held, receive
from shared_mem import lease, log
from shared_mem.lease import LeaseOver
from shared_mem.log import Tail
from tests.actors.desk import ShardDesk, order


@pytest.fixture
def desk(tmp_path: Path, run_dir: Path) -> ShardDesk:
    made = ShardDesk(tmp_path / "log", run_dir)
    made.open_market()
    return made


def test_without_the_standby_orders_are_rejected_and_cancels_are_served(desk: ShardDesk) -> None:
    watch = StandbyWatch(desk.run_dir)
    assert watch.refusal() == ""
    desk.push(Lane.ORDERS_GATEWAY, order("before"))
    desk.turn_until_quiet()
    [accepted] = desk.events()
    assert accepted.exec_type == ExecType.PENDING_NEW
    desk.shard.writer.tail.set_word(log.STANDBY_UNTIL, 1)
    desk.push(Lane.ORDERS_GATEWAY, order("meanwhile"))
    cancel = commands.cancel(source=Source.GATEWAY, request_id=9, account=1, order_id=accepted.order_id)
    desk.push(Lane.CANCELS_GATEWAY, cancel)
    desk.turn_until_quiet()
    by_text = {event.exec_type: event for event in desk.events()}
    assert by_text[ExecType.REJECTED].reject_code == Reject.STANDBY_AWAY
    assert ExecType.PENDING_CANCEL in by_text
    assert "code 541" in watch.refusal()
    desk.shard.writer.tail.set_word(log.STANDBY_UNTIL, lease.boot_ns() + 10**12)
    desk.push(Lane.ORDERS_GATEWAY, order("after"))
    desk.turn_until_quiet()
    assert desk.events()[0].reject_code == 0
    desk.close()


class FakeSocket:
    """What a session writes to: keeps the bytes."""

    def __init__(self) -> None:
        self.data = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def buffered(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Line:
    """A guarded wire whose standby is the story's own."""

    def __init__(self, desk: ShardDesk, ships: bool = True) -> None:
        self.place, self.shipped = (1, 0), (1, 0)
        self.asked = 0
        self.errors: list[BaseException] = []
        self._later: list[Callable[[], None]] = []
        self.socket = FakeSocket()
        guard = Guard(
            Tail.attach(desk.run_dir),
            lambda: self.place,
            (lambda: self.shipped) if ships else None,
            self._ask,
            lambda _seconds, call: self._later.append(call),
        )
        self.wire = GuardedWire(self.socket, guard, self.errors.append)

    def _ask(self) -> None:
        self.asked += 1

    def turn(self) -> None:
        calls, self._later = self._later, []
        for call in calls:
            call()


def test_bytes_leave_when_the_standby_has_the_append_and_in_their_order(desk: ShardDesk) -> None:
    line = Line(desk)
    line.place = (1, 100)
    line.wire.write(b"one")
    line.place = (2, 40)
    line.wire.write(b"two")
    assert (line.socket.data, line.asked, line.wire.buffered()) == (b"", 2, 6)
    line.shipped = (1, 100)
    line.turn()
    assert line.socket.data == b"one"
    line.wire.close()
    assert not line.socket.is_closed
    line.shipped = (2, 40)
    line.turn()
    assert (line.socket.data, line.socket.is_closed) == (b"onetwo", True)


def test_nothing_is_written_once_the_lease_is_over(desk: ShardDesk) -> None:
    line, plain = Line(desk), Line(desk, ships=False)
    line.place = (1, 100)
    line.wire.write(b"held")
    plain.wire.write(b"sent")
    desk.shard.writer.tail.set_word(log.LEASE_UNTIL, 1)
    with pytest.raises(LeaseOver):
        plain.wire.write(b"late")
    line.shipped = (1, 100)
    line.turn()
    assert (line.socket.data, plain.socket.data) == (b"", b"sent")
    assert isinstance(line.errors[0], LeaseOver)
    desk.shard.writer.tail.set_word(log.LEASE_UNTIL, 0)


def sent(seq: int) -> Sent:
    return Sent(seq, b"8=FIX.4.4|34=%d|" % seq, False, True)


def test_numbers_left_out_by_a_new_owner_are_never_used(tmp_path: Path) -> None:
    store = Store(tmp_path / "session")
    store.append(5, [sent(1), sent(2)], b"state")
    store.skip(1000)
    store.close()
    again = Store(tmp_path / "session")
    assert (again.next_in, again.next_out, again.state) == (5, 1003, b"state")
    again.append(6, [sent(1003)])
    assert [stored.seq for stored in again.read(1, 1003)] == [1, 2, 1003]
    again.close()


def test_a_shipped_store_is_one_that_opens_after_each_part(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()
    store = Store(here / "fix" / "venue")
    shipper = Shipper(here, held(there))
    for seq in range(1, 40):
        store.append(seq, [sent(seq)], b"cursor %d" % seq)
        if seq == 30:
            shipper = Shipper(here, held(there))  # the link was made anew
        for part in shipper.parts():
            receive(there, part)
            copy = Store(there / "fix" / "venue")
            copy.close()
        assert (copy.next_in, copy.state) == (store.next_in, store.state)
    store.close()


def test_a_torn_append_is_not_shipped_until_it_is_whole(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()
    store = Store(here / "fix" / "venue")
    store.append(2, [sent(1)], b"one")
    store.close()
    path = here / "fix" / "venue" / "00000001.fix"
    whole = path.read_bytes()
    shipper = Shipper(here, {})
    for part in shipper.parts():
        receive(there, part)
    path.write_bytes(whole + whole[-20:])
    assert [part.name for part in shipper.parts()] == []
    path.write_bytes(whole)
    store = Store(here / "fix" / "venue")
    store.append(3, [sent(2)], b"two")
    for part in shipper.parts():
        receive(there, part)
    copy = Store(there / "fix" / "venue")
    assert (copy.next_in, copy.next_out, copy.state) == (3, 3, b"two")
    copy.close()
    store.close()


def test_what_ends_because_its_lease_is_over_is_not_started_again() -> None:
    process = Process(Role("door", (), DOORS))
    process.state, process.child = State.STARTING, child.Child(0, None)
    process.ended(lease.EXIT_LEASE_OVER, now_s=0)
    assert (process.state, process.lease_is_over) == (State.FAILED, True)


def test_a_standbys_roles_wait_for_it_and_it_alone_does_not() -> None:
    by_name = {role.name: role for role in standby_command.roles()}
    assert by_name["standby"].holds
    waiting = {name for name, role in by_name.items() if "standby" in role.needs}
    assert waiting == by_name.keys() - {"standby", "migrate"}
    assert "migrate" not in by_name["shard"].needs, "the database may be gone when it takes over"


def test_words_that_are_told_twice_are_the_same() -> None:
    assert child.EXIT_LEASE_OVER == lease.EXIT_LEASE_OVER
    assert standby_command.STATUS_FILE == standing.STATUS_FILE
