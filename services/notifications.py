"""Notifications: one mail for each fill, and for each break with a venue's drop copy.

Exactly one, whatever dies when. For each there is a row in `notifications_sent`, named by the
execution's or break's id; so is the mail (`Message-ID`), and it has the same bytes whenever it is made. The order of
steps, and what a crash after each of them means:

1. the row is *claimed* (inserted). Crash before: nothing was sent; the cursor has not moved, the fill is read
   again.
2. the mail is *handed over*. Crash between 1 and 2, or within 2: the row is there without `sent_at`, so the
   outcome is unclear. The mail is handed over again under the same Message-ID. Either it was not taken
   before, and this is the one; or it was, and the mailbox drops a Message-ID that it has.
3. the row is *confirmed* (`sent_at`). Crash between 2 and 3: as above.
4. the cursor moves past the whole batch. Crash between 3 and 4: the fill is read again, found confirmed, left
   out.

The rows may be lost with their Postgres, and nobody wants every mail since the first day again. So a second mark is
kept elsewhere (`mark`: a file), after the cursor: up to there everything was handed over, and is taken in as sent when
the rows are built anew. Lost together with the rows, mails go again under their Message-IDs. Where events have gone
from stream and log alike, their mails are not sent, and an error says which.

The claim asks in its transaction whether the shard has a newer owner than this process's (`Overtaken`): what an owner
that was overtaken still has to mail is mailed by its successor, under the same Message-IDs.

Two processes at once are the same as a crash in 2: both may hand it over, one is kept. A server that does not
drop a repeated Message-ID (ours does, `services/mailbox.py`) shows two in case of 2, which a mail program
shows as one. A mail that the server refuses for good (5xx) is logged and stays claimed: it must not hold up
the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import aiosmtplib
import asyncpg

from services import database
from services.backlog import BeginningGone
from services.cancelling import end_if_cancelled
from services.cursor_table import Connection, move_place, read_place, require_newest
from services.follower import Place
from services.schemas import BreakUpdate, OrderUpdate, Update
from shared_mem.cursors import Cursor, CursorFile

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
    trouble: tuple[type[BaseException], ...] = (
        aiosmtplib.SMTPException,
        asyncpg.UndefinedTableError,  # somebody wiped the database under us: `place` makes it anew
        asyncpg.InvalidCatalogNameError,
    )

    def __init__(
        self,
        *,
        postgres_url: str,
        shard: int,
        smtp_host: str,
        smtp_port: int,
        recipient: str,
        mark: CursorFile,
        epoch: Callable[[], int | None] = lambda: None,
    ) -> None:
        """epoch: of the shard's owner on this host, where it has a standby."""
        self._mark = mark
        self._epoch = epoch
        self._url = postgres_url
        self._shard = shard
        self._smtp_host = smtp_host
        self._smtp_port = smtp_port
        self._recipient = recipient
        self._connection: Connection | None = None

    async def place(self) -> Place:
        self._connection = await database.connect_migrated(self._url)
        return await read_place(self._connection, NAME, self._shard)

    async def apply(self, updates: Sequence[Update], before: Place, after: Place) -> None:
        connection = self._connection
        assert connection is not None, "place() opens the connection"
        told = {name: update for update in updates if (name := _mailed_as(update)) is not None}
        if told:
            await self._send(connection, told)
        async with connection.transaction():
            await move_place(connection, NAME, self._shard, before, after, self._epoch())
        if after.seq > self._mark.load().seq:
            self._mark.save(Cursor(after.message, after.seq))

    async def start_anew(self, before: Place, gone: BeginningGone) -> Place:
        """Goes on where the log begins."""
        connection = self._connection
        assert connection is not None, "place() opens the connection"
        after = Place(gone.kept_from - 1, 0)
        async with connection.transaction():
            await move_place(connection, NAME, self._shard, before, after, self._epoch())
        _log.error(
            "events %d to %d are gone from stream and log: mails about fills among them were not sent by this process",
            before.seq + 1,
            after.seq,
        )
        return after

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _send(self, connection: Connection, told: dict[str, Update]) -> None:
        async with connection.transaction():
            await require_newest(connection, self._shard, self._epoch())
            await connection.execute(
                "INSERT INTO notifications_sent (execution_id, shard, seq, sent_at) "
                "SELECT id, shard, seq, CASE WHEN seq <= $4 THEN now() END "
                "FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS told (id, shard, seq) ON CONFLICT DO NOTHING",
                list(told),
                [update.shard for update in told.values()],
                [update.seq for update in told.values()],
                self._mark.load().seq,
            )
        unconfirmed = await connection.fetch(
            "SELECT execution_id FROM notifications_sent "
            "WHERE execution_id = ANY($1::text[]) AND sent_at IS NULL ORDER BY seq",
            list(told),
        )
        if not unconfirmed:
            return
        async with aiosmtplib.SMTP(
            hostname=self._smtp_host, port=self._smtp_port, timeout=SMTP_TIMEOUT_S
        ) as smtp:
            for row in unconfirmed:
                end_if_cancelled()
                execution_id = row["execution_id"]
                if await _handed_over(smtp, mail_of(told[execution_id], self._recipient)):
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


def _mailed_as(update: Update) -> str | None:
    """The id of what a mail is sent about; None: no mail."""
    if isinstance(update, BreakUpdate):
        return update.break_id
    return update.execution_id if isinstance(update, OrderUpdate) and update.exec_type == "trade" else None


def mail_of(update: Update, recipient: str) -> EmailMessage:
    """The mail about a fill or a break. A function of its arguments: made again, it is the same."""
    assert isinstance(update, OrderUpdate | BreakUpdate), "nothing else is mailed"
    subject, lines = _of_break(update) if isinstance(update, BreakUpdate) else _of_fill(update)
    mail = EmailMessage()
    mail["Message-ID"] = f"<{_mailed_as(update)}@tradewind>"
    mail["Date"] = format_datetime(datetime.fromtimestamp(update.time_ns // _NS, UTC))
    mail["From"] = SENDER
    mail["To"] = recipient
    mail["Subject"] = _one_line(subject)
    mail.set_content("".join(f"{name + ':':<15}{_one_line(str(value))}\n" for name, value in lines))
    return mail


_Lines = tuple[tuple[str, str | None], ...]


def _of_fill(fill: OrderUpdate) -> tuple[str, _Lines]:
    side = (fill.side or "").upper()
    return f"Filled: {side} {fill.last_qty} {fill.symbol} @ {fill.last_px}", (
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
        ("Time", _time_text(fill.time_ns)),
    )


def _of_break(found: BreakUpdate) -> tuple[str, _Lines]:
    return f"BREAK with the venue: {found.kind.replace('_', ' ')} {found.symbol} {found.exec_id}", (
        ("Kind", found.kind),
        ("Account", f"{found.account or 'none'} (state: {found.state or 'none'})"),
        ("Order id", found.order_id),
        ("Execution", found.exec_id),
        ("Symbol", found.symbol),
        ("Traded", f"{found.side or '?'} {found.last_qty} @ {found.last_px}"),
        ("Our log says", found.ours or "nothing"),
        ("Venue says", found.venues or "nothing"),
        (
            "What to do",
            f"settle it with the venue, then: tradewind admin account-state {found.account or 'NUMBER'} active",
        ),
        ("Time", _time_text(found.time_ns)),
    )


def _time_text(time_ns: int) -> str:
    time = datetime.fromtimestamp(time_ns // _NS, UTC)
    return f"{time:%Y-%m-%d %H:%M:%S}.{time_ns % _NS // 1_000_000:03d} UTC"


def _one_line(text: str) -> str:
    """A client's own text must not become a header or a line of ours."""
    return "".join(char if char.isprintable() else " " for char in text)
