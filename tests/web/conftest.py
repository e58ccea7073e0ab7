"""A real Chromium on the page that a running stack serves.

The browser lives for one module, not for the whole run: while Playwright's own event loop is on the thread,
no asynchronous test can run there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.stack import ROOT, Stack
from tests.web.trader import Trader

PAGE_BUILT: Final = ROOT / "web" / "dist" / "index.html"

# A name that leads to this machine and is not one of its own: to the gateway, its visitors are strangers.
ELSEWHERE: Final = "tradewind.test"

FLAGS: Final = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
)

OpenPage = Callable[..., Trader]


def _chromium(playwright: Playwright) -> str | None:
    bundled = playwright.chromium.executable_path
    if Path(bundled).is_file():
        return bundled
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not PAGE_BUILT.is_file():
        pytest.skip("the page is not built: run `make web` first")
    with sync_playwright() as playwright:
        path = _chromium(playwright)
        if path is None:
            pytest.skip("no Chromium here: install the package chromium or run `playwright install chromium`")
        # Chromium's sandbox refuses to start for root.
        flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens a stack's page in a browser of its own: nothing is kept from one to the next."""
    contexts = []

    def open_(stack: Stack, *, host: str | None = None, width: int = 1440, height: int = 900) -> Trader:
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        address = httpx.URL(stack.web)
        return Trader(context.new_page(), str(address if host is None else address.copy_with(host=host)))

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def trader(stack: Stack, open_page: OpenPage) -> Trader:
    """The demo account's trader at the page of the shared stack, both streams live."""
    trader = open_page(stack)
    trader.wait_until_live()
    return trader
