"""Orders and cancels as each version of FIX has them, and what is found out before the first is sent."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from core.event_layouts import EVENT
from core.records import EventKind, ExecType, OrdStatus, OrdType, Side, TimeInForce
from fix.codec import Message, encode, parse
from fix.dictionary import load
from fix.order_bodies import WRITTEN, OrderBodies
from fix.order_router import OrderRouter
from fix.profiles import files
from fix.profiles.profile import ProfileError
from fix.tags import MsgType, Tag
from fix.validation import Validator
from fix.venue import dictionary_of
from shared_mem.log_reader import Record
from shared_mem.ring import Ring
from tests.fix.peers import no_questions

VERSIONS = ("FIX.4.2", "FIX.4.3", "FIX.4.4", "FIX.5.0", "FIX.5.0SP1", "FIX.5.0SP2")


def routed(folder: Path, bodies: OrderBodies) -> list[Message]:
    """What a router makes of an order and of its cancel: messages without a header."""
    router = OrderRouter(
        0,
        Ring.create(folder / "reports", 256, 2),
        lambda _: "AAPL",
        lambda _: "TW000001",
        bodies,
        no_questions(),
    )
    messages = []
    for exec_type in (ExecType.PENDING_NEW, ExecType.PENDING_CANCEL):
        row = np.zeros(1, EVENT)
        event = row[0]
        event["order_id"], event["account"], event["instrument"] = 7, 1, 1
        event["side"], event["ord_type"], event["tif"] = Side.BUY, OrdType.LIMIT, TimeInForce.DAY
        event["qty_e8"], event["price_e8"], event["route_price_e8"] = 10**9, 10**10, 10**10
        event["exec_type"], event["ord_status"] = exec_type, OrdStatus.PENDING_NEW
        record = Record(kind=EventKind.ORDER, seq=9, time_ns=time.time_ns(), epoch=1, position=0, next_position=100,
                        payload=row.tobytes())  # fmt: skip
        made = router._message_for(record)
        assert made is not None
        (msg_type, fields), _ = made
        messages.append(Message([(Tag.MsgType, msg_type), *fields]))
    return messages


@pytest.mark.parametrize("version", VERSIONS)
def test_an_order_and_a_cancel_keep_every_rule_of_their_version(tmp_path: Path, version: str) -> None:
    validator = Validator(load(version), load("FIXT.1.1") if version.startswith("FIX.5") else None)
    begin_string = "FIXT.1.1" if version.startswith("FIX.5") else version
    for message in routed(tmp_path, OrderBodies(load(version))):
        header = [(35, message.type), (34, "2"), (49, "A"), (52, "20261124-12:00:00.000"), (56, "B")]
        validator.check(parse(encode(begin_string, [*header, *message.fields[1:]])))


def test_the_tags_that_a_router_writes_are_those_that_bodies_count_on(tmp_path: Path) -> None:
    for message in routed(tmp_path, OrderBodies(load("FIX.4.4"))):
        assert {tag for tag, _ in message.fields[1:]} == WRITTEN[MsgType(message.type)]


def test_what_a_version_does_not_know_is_left_out_and_what_the_venue_wants_is_not() -> None:
    bodies = OrderBodies(load("FIX.4.4"), ((9001, "Z"),))
    assert bodies.message(MsgType.NewOrderSingle, [(Tag.ClOrdID, "A"), (Tag.ExecTransType, "0")]) == (
        MsgType.NewOrderSingle,
        [(Tag.ClOrdID, "A"), (9001, "Z")],
    )


def test_times_have_the_digits_of_the_venue() -> None:
    assert (
        OrderBodies(load("FIX.4.4"), time_digits=6).time_text(1_700_000_000_123_456_789).endswith(".123456")
    )


@pytest.mark.parametrize("version", ["FIX.4.0", "FIX.4.1"])
def test_a_version_whose_reports_do_not_say_what_happened_is_refused(version: str) -> None:
    with pytest.raises(ProfileError, match=r"use FIX\.4\.2 or later"):
        OrderBodies(load(version))


def test_a_field_that_a_venue_requires_and_nobody_gives_is_found_before_the_first_order(
    tmp_path: Path,
) -> None:
    overlay = tmp_path / "venue.xml"
    overlay.write_text(
        "<fix><messages><message name='NewOrderSingle' msgtype='D'><field name='Guard' required='Y'/></message>"
        "</messages><fields><field number='9001' name='Guard' type='CHAR'/></fields></fix>"
    )
    with pytest.raises(ProfileError, match=r"FIX.4.4 requires \[9001\] in messages of type D"):
        OrderBodies(load("FIX.4.4", overlay))
    OrderBodies(load("FIX.4.4", overlay), ((9001, "Z"),))


@pytest.mark.parametrize("name", files.names())
def test_orders_can_be_written_for_every_shipped_profile(name: str) -> None:
    profile = files.shipped(name)
    OrderBodies(dictionary_of(profile), profile.extra.order, profile.time_digits)
