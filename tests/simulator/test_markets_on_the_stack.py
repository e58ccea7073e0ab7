"""Everything that `tradewind up` starts, on a seeded flow instead of quotes; and a member beside the platform."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.conftest import MakeStack
from tests.simulator.desk import reports
from tests.simulator.test_simulator_restart import connected, new_order, until
from tests.simulator.test_venue_on_the_stack import Trader
from tests.stack import Stack

pytestmark = pytest.mark.stack


@pytest.fixture
def flow_stack(make_stack: MakeStack) -> Stack:
    return make_stack(venue_market="flow", venue_seed=3)


async def test_the_platform_and_another_member_trade_with_a_seeded_flow(
    flow_stack: Stack, tmp_path: Path
) -> None:
    trader = Trader(flow_stack)
    for side in ("buy", "sell"):
        trader.send(symbol="AAPL", side=side, type="market", qty="3")
        trader.until_over(trader.order_ids[-1])
    assert [trader.status(order_id) for order_id in trader.order_ids] == ["filled", "filled"]
    port = flow_stack.port_base + 2
    async with connected(tmp_path / "member", port, "MEMBER-1") as (member, session):
        session.send([new_order("M1", "1", 3, f"{asked_for(flow_stack, 'AAPL') * 1.05:.2f}")])
        await until(lambda: sum(r.last_qty_e8 for r in reports(member.answers)) == 3 * 10**8)


def asked_for(stack: Stack, symbol: str) -> float:
    """The ask of the quote around which the flow plays."""
    url = f"{stack.rest}/v2/stocks/quotes/latest?symbols={symbol}"
    answer = httpx.get(url, headers=stack.headers, timeout=10)
    return float(answer.json()["quotes"][symbol]["ap"])
