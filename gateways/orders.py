"""Orders over REST: place, look, replace, cancel. Alpaca's paths, parameters and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath, FromQuery, QueryParameter, RawBody

from actors.view import OrderView
from core import ids
from core.records import TEXT_BYTES_MAX
from core.units import INT64_MAX
from gateways.auth import AccountRequest
from gateways.desk import Desk
from gateways.errors import NOT_FOUND, UNPROCESSABLE, ApiError
from gateways.order_request import SIDES, TIFS, TYPES, parse_order, parse_replace
from gateways.order_shape import OPEN_STATUSES, Order
from gateways.times import parse_time

# An order is some 200 bytes of JSON; a client order id of 128 characters and generous blanks fit many times.
BODY_BYTES_MAX: Final = 16 << 10

# Alpaca's own bounds for one page of orders.
PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 500

# How many of an account's newest orders a filtered list looks through; older ones are asked for by id. Some
# 50 ms.
SCAN_MAX: Final = 10_000
# A look that found too few is repeated so many times further back.
SCAN_GROWTH: Final = 4

# Cancels of one DELETE /v2/orders that are under way at a time.
CANCELS_AT_ONCE: Final = 256


class Cancelled(msgspec.Struct, frozen=True):
    """One line of DELETE /v2/orders: 200, or the status and the error of that order's cancel."""

    id: str
    status: int
    body: dict[str, Any] | None = None


def _replace_schema() -> Schema:
    number = Schema(one_of=[Schema(type=OpenAPIType.NUMBER), Schema(type=OpenAPIType.STRING)], examples=["5"])
    return Schema(
        type=OpenAPIType.OBJECT,
        properties={
            "qty": number,
            "limit_price": number,
            "time_in_force": Schema(type=OpenAPIType.STRING, enum=["day", "gtc"]),
            "client_order_id": Schema(type=OpenAPIType.STRING, max_length=TEXT_BYTES_MAX),
        },
    )


def _order_schema() -> Schema:
    number = Schema(
        one_of=[Schema(type=OpenAPIType.NUMBER), Schema(type=OpenAPIType.STRING)], examples=["10"]
    )
    text = Schema(type=OpenAPIType.STRING)
    return Schema(
        type=OpenAPIType.OBJECT,
        required=["symbol", "qty", "side", "type", "time_in_force"],
        properties={
            "symbol": text,
            "qty": number,
            "side": Schema(type=OpenAPIType.STRING, enum=list(SIDES)),
            "type": Schema(type=OpenAPIType.STRING, enum=list(TYPES)),
            "time_in_force": Schema(type=OpenAPIType.STRING, enum=list(TIFS)),
            "limit_price": number,
            "client_order_id": Schema(type=OpenAPIType.STRING, max_length=TEXT_BYTES_MAX),
        },
    )


@dataclass
class _OrderOperation(Operation):
    """The body's documentation, by hand: the handler takes bytes, so that numbers keep their digits."""

    def __post_init__(self) -> None:
        content = {"application/json": OpenAPIMediaType(schema=_order_schema())}
        self.request_body = RequestBody(content=content, required=True)


@dataclass
class _ReplaceOperation(Operation):
    """As `_OrderOperation`."""

    def __post_init__(self) -> None:
        content = {"application/json": OpenAPIMediaType(schema=_replace_schema())}
        self.request_body = RequestBody(content=content, required=True)


class Orders(Controller):
    path = "/orders"
    tags = ("orders",)

    @post(status_code=200, request_max_body_size=BODY_BYTES_MAX, operation_class=_OrderOperation)
    async def place(self, request: AccountRequest, desk: NamedDependency[Desk], body: RawBody) -> Order:
        """Place an order. 200: accepted and in the log; any other status: not. 503 with "outcome unknown"
        says that nobody knows yet: ask by client_order_id before sending it again."""
        event = await desk.submit(request.user, parse_order(body))
        return desk.show_event(event)

    @get()
    async def list_orders(
        self,
        request: AccountRequest,
        desk: NamedDependency[Desk],
        status: FromQuery[str] = "open",
        limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
        after: FromQuery[str | None] = None,
        until: FromQuery[str | None] = None,
        direction: FromQuery[str] = "desc",
        side: FromQuery[str | None] = None,
        symbols: FromQuery[str | None] = None,
        nested: FromQuery[bool | None] = None,
    ) -> list[Order]:
        """The account's orders, newest first unless direction=asc. status: open, closed or all."""
        _one_of("status", status, ("open", "closed", "all"))
        _one_of("direction", direction, ("asc", "desc"))
        if side is not None:
            _one_of("side", side, tuple(SIDES))
        wanted = None if symbols is None else set(symbols.split(","))
        after_ns = 0 if after is None else parse_time("after", after)
        until_ns = INT64_MAX if until is None else parse_time("until", until)

        def asked_for(order: OrderView) -> bool:
            return (
                (status == "all" or (order.ord_status in OPEN_STATUSES) == (status == "open"))
                and (side is None or order.side == SIDES[side])
                and after_ns < order.created_ns <= until_ns
                and (wanted is None or desk.symbol(order.instrument) in wanted)
            )

        most = SCAN_MAX if direction == "asc" else limit
        found = _newest(desk, request.user, asked_for, most, only_open=status == "open")
        if direction == "asc":
            found = found[::-1][:limit]
        return [desk.show_order(order) for order in found]

    @get("/{order_id:str}")
    async def one_order(
        self, request: AccountRequest, desk: NamedDependency[Desk], order_id: FromPath[str]
    ) -> Order:
        return desk.show_order(desk.order(request.user, order_id))

    @patch("/{order_id:str}", request_max_body_size=BODY_BYTES_MAX, operation_class=_ReplaceOperation)
    async def replace(
        self,
        request: AccountRequest,
        desk: NamedDependency[Desk],
        order_id: FromPath[str],
        body: RawBody,
    ) -> Order:
        """Ask for other terms. 200: checked, held for, and on its way to the venue; the answer shows the order as it
        still is, in pending_replace. Its update says how it ends: replaced, under the same id with the new
        client_order_id, or order_replace_rejected. qty counts what has filled already."""
        order = desk.order(request.user, order_id)
        event = await desk.replace(request.user, order, parse_replace(body, order.ord_type))
        return desk.show_event(event)

    @delete("/{order_id:str}", status_code=204)
    async def cancel(
        self, request: AccountRequest, desk: NamedDependency[Desk], order_id: FromPath[str]
    ) -> None:
        """Ask for the cancel: 204 when it is in the log and on its way. Its update says how it ends."""
        order = desk.order(request.user, order_id)
        await desk.cancel(request.user, order.order_id)

    @delete(status_code=207)
    async def cancel_all(
        self, request: AccountRequest, desk: NamedDependency[Desk]
    ) -> Response[list[Cancelled]]:
        """Ask for the cancel of every open order of the account; one line for each."""
        still_open = _every_open(desk, request.user)
        lines: list[Cancelled] = []
        for start in range(0, len(still_open), CANCELS_AT_ONCE):
            batch = still_open[start : start + CANCELS_AT_ONCE]
            lines += await asyncio.gather(*(_cancel_one(desk, request.user, order) for order in batch))
        return Response(lines, status_code=207)


@get("/orders:by_client_order_id", tags=["orders"])
async def by_client_order_id(
    request: AccountRequest, desk: NamedDependency[Desk], client_order_id: FromQuery[str]
) -> Order:
    """The order that the account gave this client_order_id: what to ask after an unknown outcome."""
    known = client_order_id.isascii() and len(client_order_id) <= TEXT_BYTES_MAX
    order = desk.view.order_by_client_id(request.user, client_order_id) if known else None
    if order is None:
        raise ApiError(NOT_FOUND, f"no order of this account has client_order_id '{client_order_id[:140]}'")
    return desk.show_order(order)


def _newest(
    desk: Desk, account: int, asked_for: Callable[[OrderView], bool], most: int, only_open: bool
) -> list[OrderView]:
    """The newest orders that are asked for, newest first; looks back as far as it has to, up to SCAN_MAX.

    only_open: all that is asked for is open, so it may stop at the account's last open order."""
    open_orders = desk.account(account).open_orders if only_open else SCAN_MAX
    if open_orders == 0:
        return []
    scan = PAGE_DEFAULT if only_open else min(most, PAGE_MAX)
    while True:
        orders = desk.view.orders(account, limit=scan)
        found = [order for order in orders if asked_for(order)]
        seen_open = sum(order.ord_status in OPEN_STATUSES for order in orders) if only_open else 0
        if len(found) >= most or seen_open >= open_orders or len(orders) < scan or scan >= SCAN_MAX:
            return found[:most]
        scan = min(scan * SCAN_GROWTH, SCAN_MAX)


def _every_open(desk: Desk, account: int) -> list[OrderView]:
    """All open orders, however far back: the account says how many there are, the order table bounds the
    search."""
    open_orders = desk.account(account).open_orders
    scan = PAGE_MAX
    while True:
        orders = desk.view.orders(account, limit=scan)
        found = [order for order in orders if order.ord_status in OPEN_STATUSES]
        if len(found) >= open_orders or len(orders) < scan:
            return found
        scan *= SCAN_GROWTH


async def _cancel_one(desk: Desk, account: int, order: OrderView) -> Cancelled:
    uuid = str(ids.order_uuid(desk.shard, order.order_id))
    try:
        await desk.cancel(account, order.order_id)
    except ApiError as error:
        return Cancelled(uuid, error.status, {"code": error.code, "message": error.message})
    return Cancelled(uuid, 200)


def _one_of(name: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ApiError(UNPROCESSABLE, f"{name} '{value[:40]}' is not known; send one of {', '.join(words)}")
