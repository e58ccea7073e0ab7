"""The role `portfolio`: NATS -> Postgres."""

from __future__ import annotations

from collections.abc import Callable

from app.config import Config
from services.follower import Follower
from services.portfolio import Portfolio
from services.serving import run_until_terminated


def main(config: Config, ready: Callable[[], None]) -> None:
    follower = Follower(
        nats_url=config.nats_url,
        shard=config.shard,
        effect=Portfolio(config.postgres_url, config.shard),
        on_serving=ready,
    )
    run_until_terminated(follower.run())
