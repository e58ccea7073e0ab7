"""What a browser gets: the page, the demo's key and mail (on this machine only), the documentation, the
headers."""

from __future__ import annotations

import mailbox
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.testing import RequestFactory

from gateways.errors import ApiError
from gateways.local import only_here
from tests.gateways.conftest import Gateway, Market


@pytest.fixture
def a_built_page(tmp_path: Path) -> None:
    (tmp_path / "dist" / "assets").mkdir(parents=True)
    (tmp_path / "dist" / "index.html").write_text("<!doctype html><title>Tradewind</title>")
    (tmp_path / "dist" / "assets" / "page-1.js").write_text("'use strict'")


@pytest.fixture
def a_mail(tmp_path: Path) -> str:
    """One mail in the demo's mailbox; its id."""
    message = EmailMessage()
    message["From"], message["To"] = "desk@tradewind.invalid", "owner@example.invalid"
    message["Subject"], message["Date"] = "Filled: 10 AAPL <at> 150", "Tue, 24 Nov 2026 06:00:00 +0000"
    message.set_content("You bought 10 AAPL.\n<script>alert(1)</script>\n")
    return str(mailbox.Maildir(tmp_path / "mailbox").add(message))


@pytest.fixture
def not_a_demo(market: Market, run_dir: Path, log_dir: Path, tmp_path: Path) -> Iterator[Gateway]:
    running = Gateway(run_dir, log_dir, tmp_path, demo=False)
    yield running
    running.stop()


def test_the_page_is_served_when_it_is_built(a_built_page: None, gateway: Gateway) -> None:
    page = httpx.get(gateway.rest + "/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    script = httpx.get(gateway.rest + "/assets/page-1.js")
    assert script.status_code == 200
    assert "javascript" in script.headers["content-type"]
    assert httpx.get(gateway.rest + "/assets/../../credentials.json").status_code == 404
    assert httpx.get(gateway.rest + "/%2e%2e/credentials.json").status_code == 404


def test_without_a_built_page_the_answer_says_how_to_build_it(gateway: Gateway) -> None:
    assert "make web" in httpx.get(gateway.rest + "/").text


@pytest.mark.parametrize("path", ["/", "/demo", "/docs", "/health", "/v1/source", "/v2/account", "/nope"])
def test_every_answer_carries_the_security_headers(a_built_page: None, gateway: Gateway, path: str) -> None:
    headers = httpx.get(gateway.rest + path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_the_demo_key_is_shown_on_this_machine(gateway: Gateway) -> None:
    shown = httpx.get(gateway.rest + "/demo").json()
    assert (shown["key_id"], shown["secret_key"]) == (gateway.key_id, gateway.secret_key)


@pytest.mark.parametrize("path", ["/demo", "/mailbox", "/mailbox/1"])
def test_a_desk_that_is_no_demo_shows_neither_key_nor_mail(not_a_demo: Gateway, path: str) -> None:
    answer = httpx.get(not_a_demo.rest + path)
    assert answer.status_code == 404
    assert not_a_demo.secret_key not in answer.text


@pytest.mark.parametrize(
    ("peer", "headers", "is_shown"),
    [
        ("127.0.0.1", {"host": "127.0.0.1:8080"}, True),
        ("::1", {"host": "[::1]:8080"}, True),
        ("127.0.0.1", {"host": "localhost"}, True),
        ("192.0.2.7", {"host": "127.0.0.1:8080"}, False),
        # A page elsewhere whose name was made to point here.
        ("127.0.0.1", {"host": "rebound.example:8080"}, False),
        # A proxy on this machine, and anyone behind it.
        ("127.0.0.1", {"host": "localhost", "x-forwarded-for": "192.0.2.7"}, False),
    ],
)
def test_the_demo_is_shown_to_loopback_only(peer: str, headers: dict[str, str], is_shown: bool) -> None:
    request: Any = RequestFactory().get("/demo", headers=headers)
    request.scope["client"] = (peer, 50000)
    if is_shown:
        only_here(request, demo=True)
    else:
        with pytest.raises(ApiError) as refused:
            only_here(request, demo=True)
        assert refused.value.status == 404


def test_the_mailbox_lists_and_shows_mail_as_text(a_mail: str, gateway: Gateway) -> None:
    listed = httpx.get(gateway.rest + "/mailbox", headers={"Accept": "application/json"}).json()
    assert [(mail["id"], mail["subject"]) for mail in listed] == [(a_mail, "Filled: 10 AAPL <at> 150")]
    page = httpx.get(gateway.rest + "/mailbox").text
    assert f"/mailbox/{a_mail}" in page
    assert "&lt;at&gt;" in page
    mail = httpx.get(f"{gateway.rest}/mailbox/{a_mail}").text
    assert "You bought 10 AAPL." in mail
    assert "<script>" not in mail
    assert httpx.get(f"{gateway.rest}/mailbox/nothing").status_code == 404


def test_the_documentation_lists_what_is_served_and_loads_nothing(gateway: Gateway) -> None:
    page = httpx.get(gateway.rest + "/docs").text
    assert "/v2/orders:by_client_order_id" in page
    assert "Place an order" in page
    assert "<script" not in page
    assert "http://" not in page
    schema = httpx.get(gateway.rest + "/docs/openapi.json").json()
    body = schema["paths"]["/v2/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["type"]["enum"] == ["market", "limit"]


def test_health_is_for_everyone(gateway: Gateway) -> None:
    assert httpx.get(gateway.rest + "/health").json()["status"] == "ok"
