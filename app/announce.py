"""What a person reads when the stack is up: where to look, who they are, and one order to send."""

from __future__ import annotations

import json
import math
from typing import NamedTuple

from app import status
from app.config import Config


class Demo(NamedTuple):
    """What a newcomer trades with. No key: the credentials file is a desk's own, without a demo."""

    key: dict[str, str]
    symbol: str


def announcement(config: Config, demo: Demo) -> str:
    """The text of a ready stack: addresses, the demo's key, and a `curl` that buys one of the first symbol."""
    order = {"symbol": demo.symbol, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    places = status.endpoints(config)
    source = (
        f"{config.replay.name} at {_speed(config)}" if config.replay else "real closes, bridged (simulated)"
    )
    lines = [
        "",
        "Tradewind is up.",
        f"  page           {places['web']}",
        f"  API            {places['rest']}/v2",
        f"  API docs       {places['docs']}",
        f"  streams        {places['trading_stream']}  {places['data_stream']}",
        f"  FIX 4.4        {places['fix']}  (TargetCompID TRADEWIND)",
        f"  binary         {places['binary']}  (docs/binary.md)",
        f"  mailbox        {places['web']}mailbox",
        f"  prices         {source}",
    ]
    if demo.key:
        lines += [
            f"  demo key       {demo.key['key_id']}",
            f"  demo secret    {demo.key['secret_key']}",
            "",
            "Place an order:",
            f"  curl -s {places['rest']}/v2/orders \\",
            f"    -H 'APCA-API-KEY-ID: {demo.key['key_id']}' \\",
            f"    -H 'APCA-API-SECRET-KEY: {demo.key['secret_key']}' \\",
            "    -H 'Content-Type: application/json' \\",
            f"    -d '{json.dumps(order)}'",
        ]
    lines.append("")
    return "\n".join(lines)


def _speed(config: Config) -> str:
    return "full speed" if math.isinf(config.speed) else f"{config.speed:g}x"
