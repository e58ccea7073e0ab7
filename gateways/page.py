"""The trader's page: the built files of `web/`, the demo's key for it, and `/health`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.static_files import create_static_files_router

from gateways.desk import Desk
from gateways.errors import NOT_FOUND, ApiError
from gateways.html import page
from gateways.identity import DemoKey, Identity
from gateways.local import only_here
from gateways.settings import GatewaySettings

_NOT_BUILT: Final = (
    "<p>The page is not built. In the project's folder, run <code>make web</code>, then restart "
    "<code>tradewind up</code>.</p><p>The API is here all the same: <a href='/docs'>/docs</a>.</p>"
)


class Health(msgspec.Struct, frozen=True):
    """GET /health: 200 while this gateway serves and can see the shard's state."""

    status: str
    instruments: int
    waiting: int
    time_ns: int


@get("/health", tags=["market"])
async def health(desk: NamedDependency[Desk]) -> Health:
    return Health("ok", len(desk.view.instruments()), len(desk.answers), time.time_ns())


@get("/demo", include_in_schema=False)
async def demo(
    request: Request[Any, Any, Any],
    identity: NamedDependency[Identity],
    settings: NamedDependency[GatewaySettings],
) -> DemoKey:
    """The demo account's key, for the page."""
    only_here(request, settings.demo)
    if identity.demo is None:
        raise ApiError(
            NOT_FOUND, "the credentials hold no demo key; `tradewind up` in a new data folder makes one"
        )
    return identity.demo


@get("/", include_in_schema=False)
async def not_built() -> Response[str]:
    return page("Tradewind", _NOT_BUILT)


def page_routes(built: Path) -> Any:
    """The page when it is built, or how to build it."""
    if not (built / "index.html").is_file():
        return not_built
    router: Router = create_static_files_router(path="/", directories=[built], html_mode=True)
    return router
