"""A poison command on a whole running desk: the shard dies of it three times, then it is put aside and all trade on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.poisoned import CRASHES_MAX
from core.rejects import Reject
from gateways.identity import Credentials
from tests.acceptance import audit
from tests.acceptance.desk import Trader, eventually
from tests.faults.desk import standing_still
from tests.stack import Stack, free_port_base

pytestmark = pytest.mark.stack

SYMBOL = "KO"
ILL = {"APCA-API-KEY-ID": "ILL", "APCA-API-SECRET-KEY": "a secret"}
ILL_ROW = 1  # account 2's


class DoomedStack(Stack):
    command = (sys.executable, "-m", "tests.faults.doomed")

    def doom(self, is_doomed: bool) -> None:
        """From the shard's next life on."""
        plan = self.data_dir / "doomed"
        plan.write_text(str(ILL_ROW)) if is_doomed else plan.unlink()
        self.wait_for_restart("shard", self.kill("shard"))

    def quarantine(self, *words: str) -> str:
        return self.tradewind("quarantine", *words).stdout


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoomedStack]:
    """Account 1 is the demo's and well, account 2 is the one whose commands kill."""
    made = DoomedStack(tmp_path_factory.mktemp("doomed") / "data", free_port_base())
    made.data_dir.mkdir()
    path = made.data_dir / "credentials.json"
    Credentials.create_demo(path)
    kept = json.loads(path.read_text())
    digest = hashlib.sha256(ILL["APCA-API-SECRET-KEY"].encode()).hexdigest()
    kept["credentials"].append({"key_id": "ILL", "secret_sha256": digest, "account": "TW000002"})
    path.write_text(json.dumps(kept))
    made.start()
    for words in (("open", "TW000002"), ("pay", "TW000002", "100000")):
        assert made.tradewind("admin", *words).returncode == 0
    yield made
    made.discard()


@pytest.fixture
def trader(stack: DoomedStack) -> Trader:
    client = Trader(stack)
    eventually(lambda: client.has_quote(SYMBOL), "a first quote")
    return client


@pytest.fixture
def ill(stack: DoomedStack) -> httpx.Client:
    return httpx.Client(base_url=f"{stack.rest}/v2", headers=ILL, timeout=30)


def ask(client: httpx.Client, name: str, **more: str) -> httpx.Response:
    order = {"symbol": SYMBOL, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    return client.post("/orders", json={**order, "client_order_id": name, **more})


def entries(stack: DoomedStack) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((stack.data_dir / "quarantine").glob("*.json"))]


def test_an_order_that_kills_the_shard_is_refused_and_everybody_else_trades_on(
    stack: DoomedStack, trader: Trader, ill: httpx.Client
) -> None:
    stack.doom(True)
    answer = ask(ill, "poison")
    eventually(lambda: entries(stack), "the quarantine")
    assert answer.status_code in (422, 503), (
        answer.text
    )  # 503: a loaded machine took longer than the gateway waits
    if answer.status_code == 422:
        assert f"it made the shard die {CRASHES_MAX} times" in answer.json()["message"]
        assert f"(code {int(Reject.COMMAND_QUARANTINED)})" in answer.json()["message"]
    assert trader.filled("buy", SYMBOL, 3)["filled_qty"] == "3"
    assert ill.get("/orders:by_client_order_id", params={"client_order_id": "poison"}).status_code == 404
    (entry,) = entries(stack)
    assert (entry["kind"], entry["account"], entry["crashes"]) == (1, 2, CRASHES_MAX)
    assert "killed the shard 3 times in a row" in (stack.data_dir / "logs" / "shard.log").read_text()
    assert "1 put aside and undecided" in stack.tradewind("status").stdout
    assert "new_order" in stack.quarantine("list")
    assert "may have sent another" in stack.quarantine("retry", "1")
    assert "stays undone" in stack.quarantine("skip", "1")
    assert "decided already" in stack.quarantine("skip", "1")
    assert "undecided" not in stack.tradewind("status").stdout
    logged = stack.tradewind("log", "cat", "--kind", "quarantine", "--json").stdout
    (kept,) = [json.loads(line) for line in logged.splitlines()]
    assert kept["text"] == "poison"


def test_a_venues_report_that_kills_the_shard_is_booked_by_retry(
    stack: DoomedStack, trader: Trader, ill: httpx.Client
) -> None:
    stack.doom(False)
    bid, _ = trader.quote(SYMBOL)
    far = str((bid * Decimal("0.97")).quantize(Decimal("0.01")))
    eventually(
        lambda: ask(ill, "resting", type="limit", limit_price=far).status_code in (200, 422), "an order"
    )
    order = ill.get("/orders:by_client_order_id", params={"client_order_id": "resting"}).json()
    eventually(lambda: ill.get(f"/orders/{order['id']}").json()["status"] == "new", "the venue's word")
    stack.doom(True)
    fix_pid = int(stack.processes()["fix"]["pid"])
    eventually(
        lambda: ill.delete(f"/orders/{order['id']}").status_code == 204, "the cancel"
    )  # the answer kills
    shard_log = stack.data_dir / "logs" / "shard.log"
    eventually(lambda: "died with a command in hand: venue_report" in shard_log.read_text(), "a first death")
    # Held from here on, the FIX session can't ask the venue on behalf of the shard's next owner how the order stands:
    # that answer books the cancel, and the retry is then rightly refused as a report that comes twice.
    with standing_still(fix_pid):
        eventually(lambda: len(entries(stack)) == 2, "the quarantine")
        stack.doom(False)
        eventually(
            lambda: ill.get(f"/orders/{order['id']}").json().get("status") == "pending_cancel",
            "what is retried",
        )
        assert "done: quarantine 2 was applied" in stack.quarantine("retry", "2")
        assert ill.get(f"/orders/{order['id']}").json()["status"] == "canceled"
        assert Decimal(ill.get("/account").json()["reserved"]) == 0
    assert "reducing" in ask(ill, "more").text.lower()
    assert stack.tradewind("admin", "account-state", "TW000002", "active").returncode == 0
    audit.assert_a_replay_gives_the_living_state(stack)
