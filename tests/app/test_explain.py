"""`tradewind explain`: the figures are those of the decision, for every order, and a person reads why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings

from actors.snapshot import take, write_file
from actors.view import StateView
from app.cli import main
from app.config import run_dir_of
from app.order_checks import order_checks
from core import commands, ids
from core.events import Event
from core.records import CommandKind, ExecType, Level
from core.risk import CHECKS
from core.units import cash_e6, qty_e8
from shared_mem.log import segment_numbers, segment_path
from tests.actors.desk import SEGMENT_BYTES, Desk
from tests.actors.test_model import History
from tests.stack import Stack

Shown = pytest.CaptureFixture[str]
CODES = {int(code) for check in CHECKS for code in check.codes}


class DeskThatExplains(Desk):
    """Each order's checks, explained from the state before it, are held against what the shard then decides."""

    def do(self, raw: bytes, flags: int = 0) -> Event:
        kind = int.from_bytes(raw[:2], "little")
        if kind != CommandKind.NEW_ORDER:
            return super().do(raw, flags)
        now = self.next_ns
        quote = {
            "bid_e8": self.bid_e8,
            "ask_e8": self.ask_e8,
            "quote_time_ns": now - self.quote_age_ms * 1_000_000,
        }
        lines = order_checks(StateView(self.run_dir, self.state), {**commands.decode(raw), **quote}, now)
        event = super().do(raw, flags)
        last = lines[-1]
        if event.reject_code == 0 or event.reject_code in CODES:
            assert (last.code, last.code_limit, last.code_value) == (
                event.reject_code, event.limit_value, event.observed_value,
            )  # fmt: skip
        assert all(line.code == 0 for line in lines[:-1])
        for line in lines:
            if not line.asked or line.used is None or line.limit is None or line.headroom is None:
                continue
            if line.code == 0:
                assert line.asked <= line.headroom, line
            else:
                assert (line.code_limit, line.code_value) in (
                    (line.limit, line.used + line.asked), (max(line.headroom, 0), line.asked),
                    (line.headroom, line.asked),  # less than nothing: cash that a venue's word has overdrawn
                ), line  # fmt: skip
        return event


class ExplainedHistory(History):
    a_desk = DeskThatExplains


TestExplainedHistory = ExplainedHistory.TestCase
TestExplainedHistory.settings = settings(
    max_examples=40, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    """An account with a million under a household; its data folder is tmp_path / data."""
    data = tmp_path / "data"
    run_dir = run_dir_of(data)
    desk = Desk(data / "log", run_dir)
    desk.open_market()
    firm = commands.define_group(request_id=5, name="Tradewind", level=Level.FIRM, parent=0)
    household = commands.define_group(
        request_id=6,
        name="Ada and Bob",
        level=Level.HOUSEHOLD,
        parent=1,
        max_open_notional_e6=cash_e6(5_000),
        max_gross_e6=cash_e6(6_000),
    )
    assert not any(desk.do(raw).reject_code for raw in (firm, household))
    assert not desk.do(commands.move_account(request_id=7, account=1, household=2)).reject_code
    yield desk
    desk.close()
    shutil.rmtree(run_dir)


def explained(desk: Desk, capsys: Shown, name: object) -> dict[str, Any]:
    desk.flusher.flush()
    assert main(["explain", str(name), "--json", "--data-dir", str(desk.log_dir.parent)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def line_of(found: dict[str, Any], what: str, of: str) -> dict[str, str]:
    (line,) = (line for line in found["checks"] if (line["what"], line["of"]) == (what, of))
    return dict(line)


def test_an_accepted_order_shows_each_limit_as_it_stood_then(a_desk: Desk, capsys: Shown) -> None:
    a_desk.buy(10)
    second = a_desk.buy(20)
    a_desk.report(second.order_id, ExecType.TRADE, qty_e8(20), second.route_price_e8)
    a_desk.buy(5)
    found = explained(a_desk, capsys, second.order_id)
    assert found["remark"] == ""
    assert line_of(found, "value of open orders", "household Ada and Bob") == {
        "check": "limits above the account", "of": "household Ada and Bob", "what": "value of open orders",
        "asked": "2000", "used": "1000", "limit": "5000", "headroom": "4000", "outcome": "passed",
    }  # fmt: skip
    cash = line_of(found, "cash, less reserved", "account TW000001")
    assert (cash["asked"], cash["used"], cash["headroom"]) == ("2000", "1000", "999000")
    assert [record["exec_type"] for record in found["life"] if record["kind"] == "order"] == ["trade"]


def test_a_reject_ends_the_list_with_its_check(a_desk: Desk, capsys: Shown) -> None:
    refused = a_desk.buy(51)
    found = explained(a_desk, capsys, refused.cause_seq)
    assert found["remark"] == ""
    assert found["checks"][-1]["outcome"] == found["verdict"]["reject"]
    assert (found["checks"][-1]["what"], found["checks"][-1]["headroom"]) == ("value of open orders", "5000")
    assert all(line["outcome"] == "passed" for line in found["checks"][:-1])


def test_what_is_held_counts_in_the_gross_exposure(a_desk: Desk, capsys: Shown) -> None:
    bought = a_desk.buy(40)
    a_desk.report(bought.order_id, ExecType.TRADE, qty_e8(40), bought.route_price_e8)
    a_desk.buy(1)
    found = explained(a_desk, capsys, a_desk.buy(30).cause_seq)
    line = line_of(found, "gross exposure", "household Ada and Bob")
    assert (line["asked"], line["used"], line["limit"], line["headroom"]) == ("3000", "4100", "6000", "1900")
    assert line["outcome"] == found["verdict"]["reject"]


def test_an_order_is_found_by_each_of_its_names(a_desk: Desk, capsys: Shown) -> None:
    a_desk.buy()
    order_id = a_desk.buy().order_id
    client_id = explained(a_desk, capsys, order_id)["order"]["text"]
    for name in (client_id, ids.order_uuid(0, order_id), ids.cl_ord_id(0, order_id)):
        assert explained(a_desk, capsys, name)["order"]["seq"] == order_id


def test_people_get_a_table_and_the_life(a_desk: Desk, capsys: Shown) -> None:
    order = a_desk.buy(10)
    a_desk.cancel(order.order_id)
    a_desk.flusher.flush()
    assert main(["explain", str(order.order_id), "--data-dir", str(a_desk.log_dir.parent)]) == 0
    text = capsys.readouterr().out
    for part in (
        "it saw  bid 99.99  ask 100, ",
        "headroom",
        "household Ada and Bob",
        "pending_new",
        "cancel",
    ):
        assert part in text


def test_an_unknown_order_is_named_with_what_can_be_given(a_desk: Desk, capsys: Shown) -> None:
    a_desk.flusher.flush()
    assert main(["explain", "nobody", "--data-dir", str(a_desk.log_dir.parent)]) == 1
    error = capsys.readouterr().err
    assert "'nobody'" in error
    assert "ClOrdID" in error


def test_it_starts_at_a_snapshot_and_without_one_says_what_is_missing(a_desk: Desk, capsys: Shown) -> None:
    """The log's first segment is gone, as after retention."""
    while a_desk.writer.position < SEGMENT_BYTES + SEGMENT_BYTES // 4:
        a_desk.cancel(a_desk.buy().order_id)
    snapshot = take(a_desk.state)
    order = a_desk.buy(7)
    a_desk.flusher.flush()
    first, *_ = segment_numbers(a_desk.log_dir)
    segment_path(a_desk.log_dir, first).unlink()
    found = explained(a_desk, capsys, order.order_id)
    assert found["checks"] is None
    assert "can't be rebuilt" in found["remark"]
    write_file(a_desk.log_dir.parent / "snapshots" / "shard-0.snapshot", snapshot)
    found = explained(a_desk, capsys, order.order_id)
    assert found["remark"] == ""
    assert line_of(found, "value of an order", "household Ada and Bob")["asked"] == "700"


@pytest.mark.stack
def test_a_running_stack_explains_an_order_with_the_bytes_that_were_sent(stack: Stack, capsys: Shown) -> None:
    order = {
        "symbol": "AAPL",
        "qty": "1",
        "side": "buy",
        "type": "limit",
        "limit_price": "1",
        "time_in_force": "day",
    }
    answer = httpx.post(f"{stack.rest}/v2/orders", json=order, headers=stack.headers)
    order_id = answer.json()["id"]
    while (
        httpx.get(f"{stack.rest}/v2/orders/{order_id}", headers=stack.headers).json()["status"]
        == "pending_new"
    ):
        pass
    assert main(["explain", order_id, "--json", "--data-dir", str(stack.data_dir)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["remark"] == ""
    assert found["checks"][-1]["outcome"] == "passed"
    (sent,) = found["sent"]
    assert f"|11={ids.cl_ord_id(0, found['order']['seq'])}|" in sent["text"]
    assert "|35=D|" in sent["text"]
