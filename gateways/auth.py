"""Litestar's door-keeper: nothing under it runs for a request without a known key."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection, Request
from litestar.datastructures import State
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from gateways.errors import UNAUTHORIZED, ApiError
from gateways.identity import Identity

AccountRequest = Request[int, str, State]
"""A request whose `user` is the number of the account that asks."""


class ApiKeyMiddleware(AbstractAuthenticationMiddleware):
    def __init__(self, app: ASGIApp, identity: Identity) -> None:
        super().__init__(app)
        self._identity = identity

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        account = self._identity.account_of_headers(connection.headers)
        if account is None:
            key_id = connection.headers.get("apca-api-key-id")
            named = (
                "no key was sent" if key_id is None else f"key '{key_id[:40]}' with this secret is not known"
            )
            raise ApiError(
                UNAUTHORIZED,
                f"{named}; send APCA-API-KEY-ID and APCA-API-SECRET-KEY (`tradewind status` shows them)",
            )
        return AuthenticationResult(user=account, auth="api key")
