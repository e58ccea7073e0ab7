"""When the venue is asked about open orders, in what pieces, and what is done where it does not answer."""

from __future__ import annotations

import pytest

from core import commands
from core.records import CommandKind
from core.rejects import Reject
from fix.codec import Message
from fix.inquiry import ANSWER_S, IN_FLIGHT_MAX, Inquiry
from fix.tags import MsgType, Tag


class Round:
    """An inquiry, the orders that are open, and the shard's ring with room for `room` commands."""

    def __init__(self, orders: int, by_mass: bool = False, room: int = 10**6) -> None:
        self.open = [(1, number) for number in range(1, orders + 1)]
        self.pushed: list[bytes] = []
        self.room, self.now, self.epoch = room, 100.0, 1
        self.inquiry = Inquiry(
            0, lambda: list(self.open), self.push, by_mass=by_mass, epoch=lambda: self.epoch,
            clock=lambda: self.now,
        )  # fmt: skip
        self.inquiry.logged_on(0)

    def push(self, command: bytes) -> bool:
        if len(self.pushed) >= self.room:
            return False
        self.pushed.append(command)
        return True

    def step(self, may_ask: bool = True) -> list[tuple[str, dict[int, str]]]:
        return [(kind, dict(fields)) for kind, fields in self.inquiry.step(may_ask)]

    def asked(self, kind: CommandKind = CommandKind.ASK_VENUE) -> list[int]:
        found = [commands.decode(raw) for raw in self.pushed]
        return [int(each["order_id"]) for each in found if each["kind"] == kind]

    def answer_all(self) -> None:
        for order_id in self.asked():
            self.inquiry.sent(order_id)
            self.inquiry.heard(order_id)


def told(request_id: str, name: str | None, total: int, is_last: bool = False) -> Message:
    fields = [(Tag.MsgType, "8"), (Tag.MassStatusReqID, request_id), (Tag.TotNumReports, str(total))]
    fields += [(Tag.ClOrdID, name)] if name is not None else []
    return Message([*fields, (Tag.LastRptRequested, "Y" if is_last else "N")])


def test_nothing_is_asked_before_all_that_is_resent_has_been_taken() -> None:
    a_round = Round(3)
    for _ in range(3):
        a_round.step(may_ask=False)
    assert a_round.asked() == []
    a_round.step()
    a_round.step()
    assert a_round.asked() == [1, 2, 3]
    assert not a_round.inquiry.is_done
    a_round.answer_all()
    assert a_round.inquiry.is_done


def test_a_round_is_asked_once_for_each_life_of_the_process() -> None:
    a_round = Round(3)
    for _ in range(3):
        a_round.step()
    a_round.answer_all()
    a_round.inquiry.lost()
    a_round.inquiry.logged_on(0)
    a_round.step()
    a_round.step()
    assert a_round.asked() == [1, 2, 3]


@pytest.mark.parametrize("why", ["numbers", "owner", "cut off"])
def test_a_round_begins_anew(why: str) -> None:
    a_round = Round(3)
    for _ in range(2):
        a_round.step()
    if why != "cut off":
        a_round.answer_all()
    a_round.inquiry.lost()
    a_round.epoch += why == "owner"
    a_round.inquiry.logged_on(1 if why == "numbers" else 0)
    for _ in range(2):
        a_round.step()
    assert a_round.asked() == [1, 2, 3, 1, 2, 3]


def test_so_many_questions_are_under_way_and_no_more() -> None:
    a_round = Round(IN_FLIGHT_MAX + 2)
    for _ in range(3):
        a_round.step()
    assert len(a_round.asked()) == IN_FLIGHT_MAX
    a_round.inquiry.heard(1)
    a_round.step()
    assert a_round.asked()[-1] == IN_FLIGHT_MAX + 1


def test_a_full_ring_holds_the_questions_back() -> None:
    a_round = Round(3, room=1)
    for _ in range(3):
        a_round.step()
    assert a_round.asked() == [1]
    a_round.room = 10
    a_round.step()
    assert a_round.asked() == [1, 2, 3]


def test_an_order_without_an_answer_is_of_unknown_fate_and_the_others_are_not() -> None:
    a_round = Round(3)
    for _ in range(2):
        a_round.step()
    for order_id in (1, 2):
        a_round.inquiry.sent(order_id)
    a_round.inquiry.heard(1)
    a_round.now += ANSWER_S + 1
    a_round.step()
    assert a_round.asked(CommandKind.FATE_UNKNOWN) == [2]
    assert commands.decode(a_round.pushed[-1])["code"] == Reject.VENUE_SILENT
    assert not a_round.inquiry.is_done, "the third has not been sent yet"


def test_a_mass_status_leaves_only_the_orders_that_it_did_not_tell() -> None:
    a_round = Round(4, by_mass=True)
    ((kind, fields),) = a_round.step()
    assert (kind, fields[Tag.MassStatusReqType]) == (MsgType.OrderMassStatusRequest, "7")
    request_id = fields[Tag.MassStatusReqID]
    assert a_round.step() == []
    assert a_round.asked() == []
    assert a_round.inquiry.mass_told(told("another", "TW000-1", 2)) is None
    assert a_round.inquiry.mass_told(told(request_id, "TW000-3", 3)) == 3
    assert a_round.inquiry.mass_told(told(request_id, "somebody", 3)) == 0
    assert a_round.inquiry.mass_told(told(request_id, "TW000-1R2", 3, is_last=True)) == 1
    a_round.step()
    assert a_round.asked() == [2, 4]


def test_a_mass_status_that_tells_of_none_ends_with_its_total() -> None:
    a_round = Round(1, by_mass=True)
    ((_, fields),) = a_round.step()
    assert a_round.inquiry.mass_told(told(fields[Tag.MassStatusReqID], None, 0)) == 0
    a_round.step()
    assert a_round.asked() == [1]


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_venue_that_takes_no_mass_status_is_asked_about_each(is_refused: bool) -> None:
    a_round = Round(2, by_mass=True)
    a_round.step()
    if is_refused:
        a_round.inquiry.mass_refused()
    else:
        a_round.now += ANSWER_S + 1
    a_round.step()
    assert a_round.asked() == [1, 2]


def test_where_nothing_is_open_nothing_is_asked() -> None:
    a_round = Round(0, by_mass=True)
    assert a_round.step() == []
    assert a_round.inquiry.is_done
