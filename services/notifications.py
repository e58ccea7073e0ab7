"""Notifications: one mail for each fill.

Exactly one, whatever dies when. For each fill there is a row in `notifications_sent`, named by the
execution's id; so is the mail (`Message-ID`), and it has the same bytes whenever it is made. The order of
steps, and what a crash after each of them means:

1. the row is *claimed* (inserted). Crash before: nothing was sent; the cursor has not moved, the fill is read
   again.
2. the mail is *handed over*. Crash between 1 and 2, or within 2: the row is there without `sent_at`, so the
   outcome is unclear. The mail is handed over again under the same Message-ID. Either it was not taken
   before, and this is the one; or it was, and the mailbox drops a Message-ID that it has.
3. the row is *confirmed* (`sent_at`). Crash between 2 and 3: as above.
4. the cursor moves past the whole batch. Crash between 3 and 4: the fill is read again, found confirmed, left
   out.

Two processes at once are the same as a crash in 2: both may hand it over, one is kept. A server that does not
drop a repeated Message-ID (ours does, `services/mailbox.py`) shows two in case of 2, which a mail program
shows as one. A mail that the server refuses for good (5xx) is logged and stays claimed: it must not hold up
the others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import aiosmtplib

from services import database
from services.cursor_table import Connection, move_place, read_place
from services.follower import Place
from services.schemas import OrderUpdate, Update

_log = logging.getLogger("tradewind.notifications")

NAME: Final = "notifications"
SENDER: Final = "tradewind@tradewind.local"
# A mail is a kilobyte; a server that takes longer over a step of it is ill.
SMTP_TIMEOUT_S: Final = 5.0
_NS: Final = 1_000_000_000
_PERMANENT: Final = range(500, 600)


class Notifications:
    """The effect of following (`services.follower.Effect`): mails by SMTP to `recipient`."""

    name = NAME
    trouble: tuple[type[BaseException], ...] = (aiosmtplib.SMTPException,)

    def __init__(
        self, *, postgres_url: str, shard: int, smtp_host: str, smtp_port: int, recipient: str
    ) -> None:
        self._url = postgres_url
        self._shard = shard
        self._smtp_host = smtp_host
        self._smtp_port = smtp_port
        self._recipient = recipient
        self._connection: Connection | None = None

    async def place(self) -> Place:
        await database.migrate(self._url)
        self._connection = await database.connect(self._url)
        return await read_place(self._connection, NAME, self._shard)

    async def apply(self, updates: Sequence[Update], before: Place, after: Place) -> None:
        connection = self._connection
        assert connection is not None, "place() opens the connection"
        fills = {u.execution_id: u for u in updates if isinstance(u, OrderUpdate) and u.exec_type == "trade"}
        if fills:
            await self._send(connection, fills)
        async with connection.transaction():
            await move_place(connection, NAME, self._shard, before, after)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _send(self, connection: Connection, fills: dict[str, OrderUpdate]) -> None:
        await connection.execute(
            "INSERT INTO notifications_sent (execution_id, shard, seq) "
            "SELECT *  FROM unnest($1::text[], $2::smallint[], $3::bigint[]) ON CONFLICT DO NOTHING",
            list(fills),
            [fill.shard for fill in fills.values()],
            [fill.seq for fill in fills.values()],
        )
        unconfirmed = await connection.fetch(
            "SELECT execution_id FROM notifications_sent "
            "WHERE execution_id = ANY($1::text[]) AND sent_at IS NULL ORDER BY seq",
            list(fills),
        )
        if not unconfirmed:
            return
        async with aiosmtplib.SMTP(
            hostname=self._smtp_host, port=self._smtp_port, timeout=SMTP_TIMEOUT_S
        ) as smtp:
            for row in unconfirmed:
                execution_id = row["execution_id"]
                if await _handed_over(smtp, mail_of(fills[execution_id], self._recipient)):
                    await connection.execute(
                        "UPDATE notifications_sent SET sent_at = now() WHERE execution_id = $1", execution_id
                    )


async def _handed_over(smtp: aiosmtplib.SMTP, mail: EmailMessage) -> bool:
    """Whether the server took the mail; False if it never will. Raises SMTPException when the outcome is
    unclear."""
    try:
        await smtp.send_message(mail)
    except aiosmtplib.SMTPRecipientsRefused as error:
        if not all(refused.code in _PERMANENT for refused in error.recipients):
            raise
        reason: Exception = error
    except aiosmtplib.SMTPResponseException as error:
        if error.code not in _PERMANENT:
            raise
        reason = error
    else:
        return True
    _log.error("the mail server refuses %s for good: %s", mail["Message-ID"], reason)
    return False


def mail_of(fill: OrderUpdate, recipient: str) -> EmailMessage:
    """The mail about a fill. A function of its arguments: made again, it is the same."""
    side = (fill.side or "").upper()
    time = datetime.fromtimestamp(fill.time_ns // _NS, UTC)
    mail = EmailMessage()
    mail["Message-ID"] = f"<{fill.execution_id}@tradewind>"
    mail["Date"] = format_datetime(time)
    mail["From"] = SENDER
    mail["To"] = recipient
    mail["Subject"] = _one_line(f"Filled: {side} {fill.last_qty} {fill.symbol} @ {fill.last_px}")
    lines = (
        ("Account", fill.account),
        ("Order", fill.client_order_id),
        ("Order id", fill.order_id),
        ("Execution id", fill.execution_id),
        ("Side", side),
        ("Symbol", fill.symbol),
        ("Filled now", f"{fill.last_qty} @ {fill.last_px}"),
        ("Filled so far", f"{fill.cum_qty} of {fill.qty}"),
        ("Still open", fill.leaves_qty),
        ("Average price", fill.avg_px),
        ("Time", f"{time:%Y-%m-%d %H:%M:%S}.{fill.time_ns % _NS // 1_000_000:03d} UTC"),
    )
    mail.set_content("".join(f"{name + ':':<15}{_one_line(str(value))}\n" for name, value in lines))
    return mail


def _one_line(text: str) -> str:
    """A client's own text must not become a header or a line of ours."""
    return "".join(char if char.isprintable() else " " for char in text)
