"""What this door says when it says no: one shape, `{"code": int, "message": str}`, as Alpaca's clients
expect.

Always holds here: `code` begins with the HTTP status; the message names the value and what to send instead;
504 is never answered, because alpaca-py sends the order again after it, and 429 only where nothing was
sequenced. Rejects of the shard keep their own codes (`core/rejects.py`); this file is for what never reached
it.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException

from core.events import Event, reject_message
from core.rejects import TEXTS, Reject

BAD_REQUEST: Final = 40010000
UNAUTHORIZED: Final = 40110000
FORBIDDEN: Final = 40310000
NOT_FOUND: Final = 40410000
TOO_LARGE: Final = 41310000
UNPROCESSABLE: Final = 42210000
TOO_MANY: Final = 42910000
INTERNAL: Final = 50010000
UNAVAILABLE: Final = 50310000
# The one 503 after which a request may have been taken: ask by client_order_id, never just send it again.
OUTCOME_UNKNOWN: Final = 50310001

log = logging.getLogger("tradewind.gateway")


class ApiError(Exception):
    """An answer other than 2xx. `code` is Alpaca's eight digits; its first three are the HTTP status."""

    def __init__(self, code: int, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = code // 100_000
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


def reject_message_of(event: Event) -> str:
    """The reject in words: the check, its limit and the value."""
    return reject_message(event.reject_code, event.limit_value, event.observed_value)


class RejectedError(ApiError):
    """The shard said no: its reject with the status, the code and the text of `core/rejects.py`."""

    def __init__(self, event: Event) -> None:
        text = TEXTS[Reject(event.reject_code)]
        super().__init__(text.code, reject_message_of(event), retry_after_s=1 if text.http == 503 else None)
        self.status = text.http


def _answer(status: int, code: int, message: str, headers: dict[str, str]) -> Response[dict[str, Any]]:
    return Response(
        {"code": code, "message": message},
        status_code=status,
        headers=headers,
        media_type=MediaType.JSON,
    )


def on_api_error(_request: Request[Any, Any, Any], error: ApiError) -> Response[dict[str, Any]]:
    return _answer(error.status, error.code, error.message, error.headers)


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """What Litestar itself refuses: no such path, wrong method, a parameter of the wrong kind, a body too
    large."""
    status = error.status_code
    if status == 404:
        message = f"{request.url.path} is not served here; /docs lists what is"
    elif status == 405:
        message = f"{request.method} is not allowed on {request.url.path}; /docs lists what is"
    elif status == 413:
        message = "the request body is over the limit of this door; an order takes less than 1 KiB"
    else:
        extra = error.extra if isinstance(error.extra, list) else []
        named = [f"{item.get('key')}: {item.get('message')}" for item in extra if isinstance(item, dict)]
        message = "; ".join(named) or error.detail
    return _answer(status, status * 100_000 + 10_000, message, dict(error.headers or {}))


def on_state_away(_request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """The shard is being restarted; what it had acknowledged is in its log."""
    return _answer(503, UNAVAILABLE, f"the desk is starting: {error}; try again", {"Retry-After": "1"})


def on_crash(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A fault of ours. The text stays in our log; the client learns only that it happened."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(500, INTERNAL, "the gateway failed; its log has the reason", {})
