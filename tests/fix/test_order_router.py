"""The venue's messages as the shard gets them, and what the venue is told when it can't."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import commands, ids
from core.records import COMMAND_BYTES, CommandKind, ExecType, OrdStatus
from core.rejects import Reject
from fix.codec import encode, parse
from fix.dictionary import load
from fix.durable import Busy, DurableSession, Outgoing
from fix.order_bodies import OrderBodies
from fix.order_router import OrderRouter, cursor_bytes, cursor_of, expect_from, follow_lost_store
from fix.session import Role, SessionConfig
from fix.store import Store
from fix.tags import MsgType, Tag
from shared_mem.ring import Ring
from tests.fix.peers import no_questions, order
from tests.fix.wire import NOON_NS, from_peer

FILL = "37=V7|11=TW000-42|17=X9|150=F|39=1|55=AAPL|54=1|32=4|31=149.95|151=6|14=4|6=149.95|60=20261124-12:00:00.000123"


class Street:
    """A router between a session and a ring of two slots."""

    def __init__(self, folder: Path) -> None:
        self.ring = Ring.create(folder / "reports.venue", COMMAND_BYTES, 2)
        self.router = OrderRouter(
            0, self.ring, lambda _: "AAPL", lambda _: "TW000001", OrderBodies(load("FIX.4.4")), no_questions()
        )
        config = SessionConfig("TRADEWIND", "SIMULATOR", Role.INITIATOR)
        self.session = DurableSession(config, Store(folder / "store"), self.router, lambda: NOON_NS)

    def hear(self, msg_type: str, body: str, seq: int = 5, version: str = "FIX.4.4") -> list[Outgoing]:
        fields = parse(from_peer(msg_type, seq, body)).fields[2:-1]
        return self.router.on_message(self.session, parse(encode(version, fields)))

    def reported(self) -> dict[str, object] | None:
        raw = self.ring.pop()
        return None if raw is None else commands.decode(raw)


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path)


def test_a_fill_is_reported_exactly(street: Street) -> None:
    assert street.hear("8", FILL) == []
    report = street.reported()
    assert report is not None
    wanted = {
        "venue_seq": 5, "order_id": 42, "exec_type": ExecType.TRADE, "ord_status": OrdStatus.PARTIALLY_FILLED,
        "last_qty_e8": 400_000_000, "last_px_e8": 14_995_000_000, "cum_qty_e8": 400_000_000,
        "leaves_qty_e8": 600_000_000, "transact_time_ns": NOON_NS + 123_000, "text": "X9",
    }  # fmt: skip
    assert {name: report[name] for name in wanted} == wanted


def test_the_answer_to_a_cancel_names_the_order_by_its_original_id(street: Street) -> None:
    street.hear("8", "37=V7|11=TW000-C99|41=TW000-42|17=X9|150=4|39=4|151=0|14=4|6=0")
    street.hear("9", "37=V7|11=TW000-C99|41=TW000-42|39=2|434=1|102=0|58=too late", seq=6)
    canceled, refused = street.reported(), street.reported()
    assert canceled is not None
    assert refused is not None
    assert (canceled["order_id"], canceled["exec_type"]) == (42, ExecType.CANCELED)
    assert (refused["order_id"], refused["exec_type"], refused["text"]) == (
        42,
        ExecType.CANCEL_REJECT,
        "too late",
    )


@pytest.mark.parametrize("exec_type", ["A", "6", "E"])
def test_a_report_that_says_nothing_new_is_passed_over(street: Street, exec_type: str) -> None:
    assert street.hear("8", FILL.replace("150=F", f"150={exec_type}")) == []
    assert street.reported() is None


@pytest.mark.parametrize(
    ("exec_type", "status", "means"),
    [
        ("0", "0", ExecType.NEW),
        ("1", "1", ExecType.TRADE),
        ("2", "2", ExecType.TRADE),
        ("4", "4", ExecType.CANCELED),
        ("8", "8", ExecType.REJECTED),
        ("C", "C", ExecType.EXPIRED),
    ],
)
def test_a_report_of_fix_4_2_means_what_its_successors_say_otherwise(
    street: Street, exec_type: str, status: str, means: ExecType
) -> None:
    body = FILL.replace("150=F|39=1", f"20=0|150={exec_type}|39={status}")
    assert street.hear("8", body, version="FIX.4.2") == []
    report = street.reported()
    assert report is not None
    assert (report["exec_type"], report["ord_status"]) == (means, ord(status))


@pytest.mark.parametrize(("does", "exec_type"), [("1", "H"), ("2", "G")])
def test_a_bust_and_a_correction_of_fix_4_2_are_no_fills(street: Street, does: str, exec_type: str) -> None:
    body = FILL.replace("150=F", f"20={does}|150=1")
    of_4_2 = street.hear("8", body, version="FIX.4.2")
    of_4_2_report = street.reported()
    of_4_4 = street.hear("8", FILL.replace("150=F", f"150={exec_type}"))
    assert (of_4_2, of_4_2_report) == (of_4_4, street.reported())
    assert of_4_2_report is None or of_4_2_report["exec_type"] != ExecType.TRADE


def test_an_order_status_of_fix_4_2_is_the_answer_to_a_question(street: Street) -> None:
    assert street.hear("8", FILL.replace("150=F", "20=3|150=1"), version="FIX.4.2") == []
    report = street.reported()
    assert report is not None
    assert (report["exec_type"], report["ord_status"]) == (ExecType.ORDER_STATUS, OrdStatus.PARTIALLY_FILLED)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (FILL.replace("150=F", "150=1"), "tag 20 is missing"),
        (FILL.replace("150=F", "20=9|150=1"), "'9' is not known"),
    ],
)
def test_a_report_of_fix_4_2_that_does_not_say_what_it_does_is_refused(
    street: Street, body: str, says: str
) -> None:
    ((msg_type, fields),) = street.hear("8", body, version="FIX.4.2")
    assert msg_type == MsgType.BusinessMessageReject
    assert says in dict(fields)[Tag.Text]
    assert street.reported() is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("|31=149.95", ""), "tag 31 is missing"),
        (("31=149.95", "31=NaN"), "tag 31: LastPx 'NaN' is not finite"),
        (("32=4", "32=0.000000001"), "tag 32: LastQty 0.000000001 has more than 8 decimal places"),
        (("11=TW000-42", "11=somebody"), "tag 11: ClOrdID 'somebody' is not one of ours"),
        (("150=F", "150=7"), "tag 150: ExecType '7' is not handled"),
        (("150=F", "150=H"), "tag 19 is missing"),
        (("39=1", "39=z"), "tag 39: OrdStatus 'z' is not known"),
        (("60=20261124-12:00:00.000123", "60=noon"), "tag 60: 'noon'"),
    ],
)
def test_a_report_that_can_not_be_read_is_refused_by_name(
    street: Street, change: tuple[str, str], says: str
) -> None:
    ((msg_type, fields),) = street.hear("8", FILL.replace(*change))
    assert msg_type == MsgType.BusinessMessageReject
    assert says in dict(fields)[Tag.Text]
    assert street.reported() is None


def test_a_full_ring_makes_the_session_wait(street: Street) -> None:
    street.hear("8", FILL, seq=5)
    street.hear("8", FILL, seq=6)
    with pytest.raises(Busy):
        street.hear("8", FILL, seq=7)
    street.reported()
    assert street.hear("8", FILL, seq=7) == []


@pytest.mark.parametrize(("msg_type", "body"), [("3", "45={}|58=no"), ("j", "45={}|58=no|372=D|380=0")])
def test_an_order_that_the_venue_can_not_read_is_rejected(street: Street, msg_type: str, body: str) -> None:
    street.session.send([order("TW000-42")])
    assert street.hear(msg_type, body.format(street.session.next_out - 1)) == []
    report = street.reported()
    assert report is not None
    assert (report["order_id"], report["exec_type"], report["text"]) == (42, ExecType.REJECTED, "no")


def test_a_fill_is_named_by_its_exec_id(street: Street) -> None:
    street.hear("8", FILL)
    report = street.reported()
    assert report is not None
    assert (report["exec_hash"], report["exec_ref_hash"]) == (ids.exec_hash("X9"), 0)


@pytest.mark.parametrize(
    ("change", "exec_type"),
    [("150=H|19=X3", "H"), ("150=G|19=X3", "G")],
)
def test_a_bust_and_a_correction_name_the_execution_that_they_undo(
    street: Street, change: str, exec_type: str
) -> None:
    assert street.hear("8", FILL.replace("150=F", change)) == []
    report = street.reported()
    assert report is not None
    assert report["exec_type"] == ord(exec_type)
    assert (report["exec_hash"], report["exec_ref_hash"]) == (ids.exec_hash("X9"), ids.exec_hash("X3"))
    assert (report["text"], report["ord_status"]) == ("X3", OrdStatus.PARTIALLY_FILLED)


def test_whatever_link_of_the_chain_a_report_names_it_names_the_order(street: Street) -> None:
    street.hear("8", "37=V7|11=TW000-42R2|41=TW000-42R1|17=X9|150=5|39=0|151=4|14=0|6=0", seq=5)
    street.hear("8", FILL.replace("TW000-42", "TW000-42R2"), seq=6)
    replaced, filled = street.reported(), street.reported()
    assert replaced is not None
    assert filled is not None
    assert (replaced["order_id"], replaced["exec_type"], replaced["replacement"]) == (
        42, ExecType.REPLACED, 2,
    )  # fmt: skip
    assert (filled["order_id"], filled["replacement"]) == (42, 2)


@pytest.mark.parametrize(
    ("names", "exec_type", "replacement"),
    [
        ("11=TW000-42R2|41=TW000-42|434=2", ExecType.REPLACE_REJECT, 2),
        ("11=TW000-42R2|41=TW000-42", ExecType.REPLACE_REJECT, 2),
        ("11=TW000-C7|41=TW000-42R1|434=1", ExecType.CANCEL_REJECT, 0),
        ("11=TW000-C7|41=TW000-42R1", ExecType.CANCEL_REJECT, 0),
    ],
)
def test_a_refused_replace_is_no_refused_cancel(
    street: Street, names: str, exec_type: ExecType, replacement: int
) -> None:
    street.hear("9", f"37=V7|{names}|39=0|102=0|58=no")
    report = street.reported()
    assert report is not None
    found = (report["order_id"], report["exec_type"], report["replacement"], report["text"])
    assert found == (42, exec_type, replacement, "no")


def test_a_replace_that_the_venue_can_not_read_is_refused(street: Street) -> None:
    fields = [(Tag.ClOrdID, "TW000-42R3"), (Tag.OrigClOrdID, "TW000-42")]
    street.session.send([(MsgType.OrderCancelReplaceRequest, fields)])
    assert street.hear("3", f"45={street.session.next_out - 1}|58=no") == []
    report = street.reported()
    assert report is not None
    assert (report["order_id"], report["exec_type"], report["replacement"]) == (
        42,
        ExecType.REPLACE_REJECT,
        3,
    )


def test_venue_seq_goes_up_over_a_reset_of_the_numbers(street: Street) -> None:
    street.hear("8", FILL, seq=900)
    street.session._store.reset()
    street.hear("8", FILL, seq=2)
    before, after = street.reported(), street.reported()
    assert before is not None
    assert after is not None
    assert before["venue_seq"] == 900
    assert after["venue_seq"] == (1 << 40) + 2


def test_what_the_shard_has_not_applied_is_expected_again(street: Street) -> None:
    street.session.send([], state=cursor_bytes(4711))
    store = street.session._store
    store.append(50, [])
    street.session._session.next_in = 50
    expect_from(street.session, 40)
    assert street.session.next_in == 41
    expect_from(street.session, 60)
    assert street.session.next_in == 41, "never ahead of what was taken"
    assert cursor_of(street.session) == 4711


def test_a_new_store_where_reports_were_applied_before_follows_a_lost_one(street: Street) -> None:
    assert not follow_lost_store(street.session, 0, 4711), "nothing was ever told: a desk that begins"
    assert follow_lost_store(street.session, (2 << 40) + 7, 4711)
    assert (street.session.generation, cursor_of(street.session)) == (3, 4711)
    street.session.send([order("TW000-9")], state=cursor_bytes(5000))
    assert not follow_lost_store(street.session, (2 << 40) + 7, 6000)
    assert cursor_of(street.session) == 5000
    street.hear("8", FILL, seq=2)
    report = street.reported()
    assert report is not None
    assert report["venue_seq"] == (3 << 40) + 2


UNKNOWN = "37=NONE|11=TW000-42|17=0|150=I|39=8|103=5|55=AAPL|54=1|151=0|14=0|6=0|58=never heard of it"


@pytest.mark.parametrize("kind", ["150=I", "150=8"])
def test_an_answer_that_the_order_is_unknown_is_no_reject_of_it(street: Street, kind: str) -> None:
    street.hear("8", UNKNOWN.replace("150=I", kind))
    report = street.reported()
    assert report is not None
    found = (report["kind"], report["order_id"], report["code"], report["text"])
    assert found == (CommandKind.FATE_UNKNOWN, 42, Reject.VENUE_KNOWS_NOT, "never heard of it")


def test_an_order_that_the_venue_rejected_says_so_when_it_is_asked(street: Street) -> None:
    street.hear("8", UNKNOWN.replace("103=5", "103=1"))
    report = street.reported()
    assert report is not None
    assert (report["kind"], report["ord_status"]) == (CommandKind.VENUE_STATUS, OrdStatus.REJECTED)


def test_an_answer_tells_totals_last_trade_and_terms(street: Street) -> None:
    street.hear(
        "8",
        "37=V7|11=TW000-42R2|17=0|150=I|39=1|55=AAPL|54=1|38=10|44=150|32=1|31=150|151=6|14=4|6=149.123456785",
    )
    report = street.reported()
    assert report is not None
    wanted = {
        "kind": CommandKind.VENUE_STATUS, "order_id": 42, "replacement": 2, "ord_status": OrdStatus.PARTIALLY_FILLED,
        "cum_qty_e8": 400_000_000, "avg_px_e8": 14_912_345_678, "last_qty_e8": 100_000_000,
        "last_px_e8": 15_000_000_000, "qty_e8": 1_000_000_000, "price_e8": 15_000_000_000,
    }  # fmt: skip
    assert {name: report[name] for name in wanted} == wanted


def test_the_end_of_an_order_counts_with_its_total_once_the_numbers_have_begun_anew(street: Street) -> None:
    end = "37=V7|11=TW000-42|17=X9|150=C|39=C|55=AAPL|54=1|151=0|14=4|6=150"
    street.hear("8", end, seq=2)
    before = street.reported()
    street.session._store.reset()
    street.hear("8", end, seq=2)
    after = street.reported()
    assert before is not None
    assert after is not None
    assert (before["kind"], after["kind"]) == (CommandKind.VENUE_REPORT, CommandKind.VENUE_STATUS)
    assert (after["ord_status"], after["cum_qty_e8"]) == (OrdStatus.EXPIRED, 400_000_000)


@pytest.mark.parametrize(
    ("more", "code"), [("380=1", Reject.VENUE_KNOWS_NOT), ("380=3", Reject.VENUE_SILENT)]
)
def test_a_question_that_the_venue_refuses_leaves_the_order_in_doubt(
    street: Street, more: str, code: Reject
) -> None:
    street.session.send([(MsgType.OrderStatusRequest, [(Tag.ClOrdID, "TW000-42")])])
    street.hear("j", f"45={street.session.next_out - 1}|372=H|58=no|{more}")
    report = street.reported()
    assert report is not None
    assert (report["kind"], report["order_id"], report["code"]) == (CommandKind.FATE_UNKNOWN, 42, code)


def test_a_cancel_refused_for_an_unknown_order_is_refused_and_puts_it_in_doubt(street: Street) -> None:
    street.hear("9", "37=NONE|11=TW000-C7|41=TW000-42|39=8|434=1|102=1|58=which?")
    refused, doubt = street.reported(), street.reported()
    assert refused is not None
    assert doubt is not None
    assert (refused["exec_type"], doubt["kind"], doubt["order_id"]) == (
        ExecType.CANCEL_REJECT, CommandKind.FATE_UNKNOWN, 42,
    )  # fmt: skip


def test_terms_of_the_venues_own_are_told_with_what_they_are(street: Street) -> None:
    street.hear("8", "37=V7|11=TW000-42|17=X9|150=D|39=0|378=1|55=AAPL|54=1|38=8|44=149|151=8|14=0|6=0")
    report = street.reported()
    assert report is not None
    assert (report["kind"], report["exec_type"]) == (CommandKind.VENUE_STATUS, ExecType.RESTATED)
    assert (report["qty_e8"], report["price_e8"]) == (800_000_000, 14_900_000_000)


@pytest.mark.parametrize("average", ["NaN", "-1", "1e40", "ten"])
def test_an_average_that_is_no_price_is_refused_by_name(street: Street, average: str) -> None:
    ((_, fields),) = street.hear(
        "8", f"37=V7|11=TW000-42|17=0|150=I|39=1|55=AAPL|54=1|151=6|14=4|6={average}"
    )
    assert "tag 6: AvgPx" in dict(fields)[Tag.Text]
    assert street.reported() is None
