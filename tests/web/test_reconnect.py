"""The page while its gateway dies and comes back."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from tests.conftest import MakeStack
from tests.web.conftest import OpenPage

pytestmark = [pytest.mark.stack, pytest.mark.browser]


def test_the_page_says_that_it_reconnects_and_then_is_right_again(
    make_stack: MakeStack, open_page: OpenPage
) -> None:
    stack = make_stack()
    trader = open_page(stack)
    trader.wait_until_live()
    trader.fill_ticket("KO", "B", "7", limit="1.00")
    trader.send()
    expect(trader.orders_in("Working").first).to_contain_text("new")

    old = stack.kill("gateway")
    for name in ("Orders", "Prices"):
        expect(trader.lamp(name)).to_contain_text("reconnecting")
    stack.wait_for_restart("gateway", old)
    httpx.delete(f"{stack.rest}/v2/orders", headers=stack.headers)

    trader.wait_until_live()
    expect(trader.orders_in("Working")).to_have_count(0)
    expect(trader.orders_in("Rejected + canceled").first).to_contain_text("canceled")
    expect(trader.panel("Activity")).to_contain_text("buy 7 KO at 1.00")
