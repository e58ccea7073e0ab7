"""The HTTP application: which path goes where, and what stands in front of it.

Must not do: open anything by itself. Rings, log, state and identity come in ready; `app/roles/gateway.py`
makes them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ASGIApp

from actors.view import StateBusy
from gateways.accounts import Positions, get_account
from gateways.auth import ApiKeyMiddleware
from gateways.desk import Desk
from gateways.docs_page import PlainDocs
from gateways.errors import ApiError, on_api_error, on_crash, on_http_exception, on_state_away
from gateways.html import add_security_headers
from gateways.identity import Identity
from gateways.log_feed import LogFeed
from gateways.mailbox import show_mail, show_mailbox
from gateways.market import Assets, Latest, get_clock, get_source
from gateways.orders import BODY_BYTES_MAX, Orders, by_client_order_id
from gateways.page import demo, health, page_routes
from gateways.quote_stream import quote_stream
from gateways.settings import GatewaySettings
from gateways.stream_socket import Streams
from gateways.tick_feed import TickFeed
from gateways.trade_stream import TradeUpdates, trade_stream
from shared_mem.segment import SegmentError

TITLE: Final = "Tradewind order entry"
DESCRIPTION: Final = (
    "Alpaca's requests and answers, for market and limit orders. Numbers may be sent as JSON numbers or as "
    "strings and are read exactly. Errors are {code, message}."
)


def create_app(
    *, desk: Desk, identity: Identity, feed: LogFeed, ticks: TickFeed, settings: GatewaySettings
) -> Litestar:
    """The application. It follows the log and the ticks from its start-up to its shut-down."""
    updates, streams = TradeUpdates(desk), Streams()
    feed.listen(desk.answers.wants, desk.answers.deliver)
    feed.listen(updates.wants, updates.deliver)

    @contextlib.asynccontextmanager
    async def following(_app: Litestar) -> AsyncIterator[None]:
        feed.start()
        conflation = asyncio.create_task(ticks.run())
        try:
            yield
        finally:
            conflation.cancel()
            feed.stop()

    # A function, and not its arguments: Litestar copies what it is given, and a mapping can't be copied.
    def guard(app: ASGIApp) -> ASGIApp:
        return ApiKeyMiddleware(app, identity)

    trading = Router(
        path="/v2",
        route_handlers=[Orders, by_client_order_id, Positions, Assets, Latest, get_account, get_clock],
        middleware=[guard],
    )
    shared: dict[str, Any] = {
        "desk": desk, "identity": identity, "streams": streams, "updates": updates, "ticks": ticks,
        "settings": settings,
    }  # fmt: skip
    return Litestar(
        route_handlers=[
            trading, trade_stream, quote_stream, get_source, health, demo, show_mailbox, show_mail,
            page_routes(settings.page),
        ],
        dependencies={name: _always(thing) for name, thing in shared.items()},
        exception_handlers={
            ApiError: on_api_error,
            HTTPException: on_http_exception,
            SegmentError: on_state_away,
            StateBusy: on_state_away,
            Exception: on_crash,
        },
        before_send=[add_security_headers],
        request_max_body_size=BODY_BYTES_MAX,
        lifespan=[following],
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title=TITLE,
            version="2",
            description=DESCRIPTION,
            path="/docs",
            use_handler_docstrings=True,
            render_plugins=[PlainDocs(), JsonRenderPlugin(path="/openapi.json")],
        ),
    )  # fmt: skip


def _always(thing: object) -> Provide:
    def provide() -> Any:
        return thing

    return Provide(provide, sync_to_thread=False)
