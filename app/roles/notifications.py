"""The role `notifications`: NATS -> mails, by the stack's own mail server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from app.config import Config
from services import mailbox
from services.follower import Follower
from services.notifications import Notifications
from services.serving import run_until_terminated

# The demo desk's trader. The mailbox takes mail for anyone.
RECIPIENT: Final = "trader@tradewind.local"


def main(config: Config, ready: Callable[[], None]) -> None:
    follower = Follower(
        nats_url=config.nats_url,
        shard=config.shard,
        effect=Notifications(
            postgres_url=config.postgres_url,
            shard=config.shard,
            smtp_host=mailbox.HOST,
            smtp_port=config.ports.smtp,
            recipient=RECIPIENT,
        ),
        on_serving=ready,
    )
    run_until_terminated(follower.run())
