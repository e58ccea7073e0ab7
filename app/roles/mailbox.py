"""The role `mailbox`: the embedded mail server, into the data folder's Maildir."""

from __future__ import annotations

from collections.abc import Callable

from app.config import Config
from services import mailbox
from services.serving import run_until_terminated


def main(config: Config, ready: Callable[[], None]) -> None:
    run_until_terminated(_serve(config, ready))


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    server = await mailbox.serve(mailbox.Maildir(config.mailbox_dir), config.ports.smtp)
    async with server:
        ready()
        await server.serve_forever()
