"""The few pages that the gateway writes by itself, and the headers that every answer carries.

Always holds here: everything that came from outside is escaped; no page runs a script of its own or loads
anything from elsewhere, and the Content-Security-Policy says so to the browser.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

from litestar import MediaType, Response
from litestar.types import Message, Scope

_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884;vertical-align:top}"
    "code,pre{font:13px/1.5 ui-monospace,monospace}pre{white-space:pre-wrap}"
)

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

# 'self' covers the streams: a WebSocket of the same host and port is the same origin to it.
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'self'; style-src 'self' 'sha256-{_STYLE_HASH}'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Accounts and orders are nobody's to keep; the page's own files are small.
    "Cache-Control": "no-store",
}

_RAW_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in _SECURITY_HEADERS.items()]


async def add_security_headers(message: Message, _scope: Scope) -> None:
    """Litestar's `before_send`: to every answer, files and errors too."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", ()), *_RAW_HEADERS]


def page(title: str, body: str, status: int = 200) -> Response[str]:
    """`title` is text and is escaped here; `body` is HTML whose parts the caller has escaped."""
    return Response(html(title, body), media_type=MediaType.HTML, status_code=status)


def html(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    """Cells are HTML; the caller has escaped them."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"
