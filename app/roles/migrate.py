"""The role `migrate`: brings the database's schema up to date, and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.config import Config
from services import database


def main(config: Config, ready: Callable[[], None]) -> None:
    asyncio.run(database.migrate(config.postgres_url))
    ready()
