"""What only the demo shows, and only to a browser or program on this machine: its key, and its mail.

Always holds here: the peer's address is loopback, the Host header names this machine (a web page elsewhere
whose name was pointed at 127.0.0.1 names itself), and no proxy stands between (it would make everyone local).
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from litestar import Request

from gateways.errors import NOT_FOUND, ApiError

_HERE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PROXIED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def only_here(request: Request[Any, Any, Any], demo: bool) -> None:
    """Raises ApiError (404) unless this is the demo, asked from this machine."""
    if not (demo and _is_loopback(request) and _names_this_machine(request)):
        raise ApiError(
            NOT_FOUND, f"{request.url.path} is shown by the demo, on its own machine, and not here"
        )


def _is_loopback(request: Request[Any, Any, Any]) -> bool:
    if request.client is None or any(name in request.headers for name in _PROXIED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _names_this_machine(request: Request[Any, Any, Any]) -> bool:
    host = request.headers.get("host", "")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return name in _HERE
