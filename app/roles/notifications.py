"""The role `notifications`: NATS -> mails, by the stack's own mail server; from the log what NATS has not any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from app.backlog import backlog_of
from app.config import Config
from app.ownership import epoch_of
from services import mailbox
from services.follower import Follower
from services.notifications import NAME, Notifications
from services.serving import run_until_terminated
from shared_mem.cursors import CursorFile

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
            mark=CursorFile(config.data_dir / "marks", NAME),
            epoch=lambda: epoch_of(config),
        ),
        on_serving=ready,
        backlog=backlog_of(config),
    )
    run_until_terminated(follower.run())
