"""The page as a trader uses it: what is seen by its name, what is typed by its key."""

from __future__ import annotations

import re
from typing import Final

from playwright.sync_api import Locator, Page, expect

# Not a limit on anything: how long a test waits before it says what it did not see.
PATIENCE_MS: Final = 30_000

expect.set_options(timeout=PATIENCE_MS)


class Trader:
    """`complaints` is what the browser's console called an error; `requested`: every address asked for."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        self.requested: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("websocket", lambda socket: self.requested.append(socket.url))
        page.goto(address)

    def _hear(self, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(text)

    # --- what is seen ---------------------------------------------------------------------------------------

    def lamp(self, name: str) -> Locator:
        """ "Orders" or "Prices"."""
        return self.page.get_by_role("status", name=f"{name} stream")

    def wait_until_live(self) -> None:
        for name in ("Orders", "Prices"):
            expect(self.lamp(name)).to_contain_text("live")

    def panel(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=name)

    @property
    def answer(self) -> Locator:
        """What came of the last order, beside the ticket."""
        return self.page.get_by_role("status", name="Last order")

    def orders_in(self, tab: str) -> Locator:
        """The rows of one tab of the blotter, newest first."""
        self.page.get_by_role("tab", name=re.compile(f"^{re.escape(tab)} ")).click()
        return self.page.get_by_role("tabpanel").locator("tbody tr")

    def quote(self, symbol: str) -> Locator:
        return self.panel("Quotes").get_by_role("row").filter(has=self.page.get_by_text(symbol, exact=True))

    def position(self, symbol: str) -> Locator:
        return self.panel("Positions and cash").get_by_role("row").filter(has_text=symbol)

    # --- what is done, by keyboard --------------------------------------------------------------------------

    def fill_ticket(self, symbol: str, side_key: str, qty: str, limit: str | None) -> None:
        """`side_key`: B or S. `limit` None makes it a market order."""
        press = self.page.keyboard.press
        self.page.get_by_label("Symbol", exact=True).fill(symbol)
        press("Tab")  # to the side
        press("Tab")  # to the quantity
        self.page.keyboard.type(qty)
        press(side_key)
        press("Tab")  # to the type
        if limit is None:
            press("ArrowRight")
            expect(self.page.get_by_role("radio", name="market")).to_be_checked()
        else:
            press("Tab")  # to the limit price, whose touch is typed over
            self.page.keyboard.type(limit)

    def send(self) -> None:
        self.page.keyboard.press("Control+Enter")
