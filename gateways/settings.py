"""What the gateway has to be told. `app/roles/gateway.py` fills it from the configuration."""

from __future__ import annotations

from pathlib import Path

import msgspec


class GatewaySettings(msgspec.Struct, frozen=True):
    demo: bool  # the embedded default: the demo's key and mail are shown on this machine
    page: Path  # the built web page (web/dist)
    mailbox: Path  # Maildir
