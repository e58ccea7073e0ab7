"""The trader's page on a running stack: what a trader sees, types and gets, in a real browser."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Route, expect

from tests.stack import Stack
from tests.web.conftest import ELSEWHERE, OpenPage
from tests.web.trader import Trader

pytestmark = [pytest.mark.stack, pytest.mark.browser]


def test_the_page_loads_without_a_complaint_and_says_where_prices_come_from(
    trader: Trader, stack: Stack
) -> None:
    account = httpx.get(f"{stack.rest}/v2/account", headers=stack.headers).json()
    source = httpx.get(f"{stack.rest}/v1/source").json()["label"]

    expect(trader.page.get_by_text(account["account_number"])).to_be_visible()
    expect(trader.page.get_by_role("banner")).to_contain_text(source)
    assert trader.complaints == []


def test_nothing_is_asked_of_any_other_host(trader: Trader, stack: Stack) -> None:
    host = httpx.URL(stack.web).netloc.decode()
    assert {httpx.URL(address).netloc.decode() for address in trader.requested} == {host}


def test_quotes_move(trader: Trader) -> None:
    table = trader.panel("Quotes").locator("tbody")
    expect(table.get_by_role("row").first).to_contain_text(re.compile(r"\d\.\d\d"))
    before = table.inner_text()
    expect(table).not_to_have_text(before, use_inner_text=True)


def test_a_click_on_the_ask_fills_the_ticket(trader: Trader) -> None:
    trader.page.get_by_title("Sell MSFT at the bid").click()
    expect(trader.page.get_by_label("Symbol", exact=True)).to_have_value("MSFT")
    expect(trader.page.get_by_role("radio", name="sell")).to_be_checked()
    expect(trader.page.get_by_label("Limit price")).to_have_value(re.compile(r"^\d+\.\d\d"))


def test_an_order_sent_by_keyboard_fills_and_becomes_a_position(trader: Trader, stack: Stack) -> None:
    trader.fill_ticket("AAPL", "B", "10", limit=None)
    trader.send()

    expect(trader.answer).to_contain_text("Filled at")
    order = trader.orders_in("Filled").first
    expect(order).to_contain_text("AAPL")
    expect(order).to_contain_text("buy")
    expect(trader.panel("Activity")).to_contain_text("Bought")
    held = httpx.get(f"{stack.rest}/v2/positions/AAPL", headers=stack.headers).json()["qty"]
    expect(trader.position("AAPL").get_by_role("cell").first).to_have_text(f"{int(held):,}")


def test_a_far_limit_order_is_canceled_by_its_button(trader: Trader) -> None:
    trader.fill_ticket("KO", "B", "7", limit="1.00")
    trader.send()

    working = trader.orders_in("Working").filter(has_text="KO").first
    expect(working).to_contain_text("new")
    working.get_by_role("button", name="Cancel buy 7 KO at 1.00").click()
    expect(trader.answer).to_contain_text("Canceled")
    expect(trader.orders_in("Rejected + canceled").first).to_contain_text("canceled")


def test_escape_clears_the_ticket(trader: Trader) -> None:
    trader.fill_ticket("KO", "S", "7", limit="1.00")
    trader.page.keyboard.press("Escape")
    expect(trader.page.get_by_label("Quantity")).to_have_value("")
    expect(trader.page.get_by_role("radio", name="buy")).to_be_checked()


def test_a_reject_shows_the_check_and_its_values(trader: Trader, stack: Stack) -> None:
    trader.fill_ticket("XOM", "S", "777", limit=None)
    trader.send()

    words = "insufficient qty available: the order sells 777"
    expect(trader.answer).to_contain_text("Rejected:")
    expect(trader.answer).to_contain_text(words)
    expect(trader.orders_in("Rejected + canceled").first).to_contain_text(words)


def test_an_order_of_another_program_appears_without_a_reload(trader: Trader, stack: Stack) -> None:
    asked = {"symbol": "PEP", "side": "buy", "qty": "3", "type": "limit", "limit_price": "1.01"}
    body = {**asked, "time_in_force": "day"}
    order = httpx.post(f"{stack.rest}/v2/orders", headers=stack.headers, json=body).json()

    expect(trader.orders_in("Working").filter(has_text="PEP").first).to_contain_text("1.01")
    httpx.delete(f"{stack.rest}/v2/orders/{order['id']}", headers=stack.headers)
    expect(trader.orders_in("Working").filter(has_text="PEP")).to_have_count(0)


def test_a_lost_answer_does_not_double_the_order(trader: Trader) -> None:
    lost = 0

    def lose_the_first(route: Route) -> None:
        nonlocal lost
        if route.request.method == "POST" and lost == 0:
            lost += 1
            route.fetch()  # the gateway takes it
            route.abort()  # and the page never hears so
        else:
            route.continue_()

    trader.page.route("**/v2/orders", lose_the_first)
    trader.fill_ticket("JNJ", "B", "5", limit="1.23")
    trader.send()
    ours = trader.orders_in("Working").filter(has_text="JNJ")
    expect(ours.first).to_contain_text("1.23")
    expect(trader.answer).to_contain_text("Sent:")  # the stream told what the answer did not
    expect(ours).to_have_count(1)
    ours.first.get_by_role("button", name="Cancel").click()
    expect(ours).to_have_count(0)


def test_a_phone_scrolls_down_and_never_sideways(stack: Stack, open_page: OpenPage) -> None:
    trader = open_page(stack, width=390, height=844)
    trader.wait_until_live()
    widths = trader.page.evaluate("[document.scrollingElement.scrollWidth, window.innerWidth]")
    assert widths == [390, 390]


def test_a_visitor_from_elsewhere_has_to_sign_in(stack: Stack, open_page: OpenPage) -> None:
    trader = open_page(stack, host=ELSEWHERE)
    sign_in = trader.page.get_by_role("button", name="Sign in").click
    trader.page.get_by_label("Key id").fill(stack.key_id)
    trader.page.get_by_label("Secret key").fill("wrong")
    sign_in()
    expect(trader.page.get_by_role("alert")).to_contain_text("is not known")

    trader.page.get_by_label("Secret key").fill(stack.secret_key)
    sign_in()
    trader.wait_until_live()
    trader.page.reload()
    trader.wait_until_live()  # the tab keeps the keys
    trader.page.get_by_role("button", name="Sign out").click()
    expect(trader.page.get_by_label("Key id")).to_be_visible()
