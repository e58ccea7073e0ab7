"""`/docs`: the API as its types declare it, on one plain page that works without a network.

Litestar's own viewers load their scripts from elsewhere; here the OpenAPI document is written out as HTML.
The document itself is `/docs/openapi.json`.
"""

from __future__ import annotations

from html import escape
from typing import Any, Final

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

from gateways.html import html, table

STREAMS: Final = (
    "<h2>Streams</h2><p><code>/stream</code>: WebSocket, trade updates. Send "
    '<code>{"action":"authenticate","data":{"key_id":"…","secret_key":"…"}}</code>, then '
    '<code>{"action":"listen","data":{"streams":["trade_updates"]}}</code>. Each update has '
    "<code>sequence</code> and <code>previous_sequence</code>; when the latter is not the last one you saw, "
    "ask <code>GET /v2/orders</code>.</p>"
    "<p><code>/v2/iex</code>: WebSocket, quotes and trades, in JSON or msgpack. Send "
    '<code>{"action":"auth","key":"…","secret":"…"}</code>, then '
    '<code>{"action":"subscribe","quotes":["AAPL"],"trades":["*"]}</code>.</p>'
)


class PlainDocs(OpenAPIRenderPlugin):
    def __init__(self) -> None:
        super().__init__(path="/")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        rows = [
            [
                f"<code>{method.upper()}</code>",
                f"<code>{escape(path)}</code>",
                _parameters(operation),
                _text(operation),
            ]
            for path, item in openapi_schema.get("paths", {}).items()
            for method, operation in item.items()
            if isinstance(operation, dict)
        ]
        info = openapi_schema["info"]
        intro = f"<p>{escape(info.get('description', ''))} <a href='/docs/openapi.json'>openapi.json</a></p>"
        requests = table(["", "path", "parameters", ""], rows)
        return html(info["title"], f"{intro}{requests}{STREAMS}{_schemas(openapi_schema)}").encode()


def _text(operation: dict[str, Any]) -> str:
    return escape(operation.get("description") or operation.get("summary") or "")


def _parameters(operation: dict[str, Any]) -> str:
    names = [str(parameter.get("name")) for parameter in operation.get("parameters", [])]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content.get("schema", {})
        required = schema.get("required", [])
        names += [name if name in required else f"{name}?" for name in schema.get("properties", {})]
    return escape(", ".join(names))


def _schemas(openapi_schema: dict[str, Any]) -> str:
    parts = []
    for name, schema in sorted(openapi_schema.get("components", {}).get("schemas", {}).items()):
        fields = ", ".join(schema.get("properties", {}))
        if fields:
            parts.append(
                [f"<code>{escape(name)}</code>", escape(fields), escape(schema.get("description", ""))]
            )
    return "<h2>Answers</h2>" + table(["shape", "fields", ""], parts) if parts else ""
