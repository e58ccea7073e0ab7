"""`/mailbox`: the mails that the demo's own mail server has taken, newest first. Only there, and only
locally.

The folder is a Maildir. Must not do: change it, or show a mail as anything but text.
"""

from __future__ import annotations

import mailbox
from email.header import decode_header, make_header
from email.message import Message
from html import escape
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from gateways.errors import NOT_FOUND, ApiError
from gateways.html import page, table
from gateways.local import only_here
from gateways.settings import GatewaySettings

# Mails in the list; older ones are still in the folder.
LISTED_MAX: Final = 200


class Mail(msgspec.Struct, frozen=True):
    id: str
    date: str
    sender: str
    recipient: str
    subject: str


class MailText(msgspec.Struct, frozen=True):
    mail: Mail
    text: str


def _open(folder: Path) -> mailbox.Maildir | None:
    return mailbox.Maildir(folder, factory=None, create=False) if (folder / "new").is_dir() else None


def _header(message: Message, name: str) -> str:
    return str(make_header(decode_header(message.get(name, ""))))


def _mail(key: str, message: Message) -> Mail:
    return Mail(
        key,
        _header(message, "date"),
        _header(message, "from"),
        _header(message, "to"),
        _header(message, "subject"),
    )


def list_mails(folder: Path) -> list[Mail]:
    """Newest first (a Maildir's keys begin with the time)."""
    maildir = _open(folder)
    if maildir is None:
        return []
    newest = sorted(maildir.keys(), key=lambda key: float(key.split(".")[0]), reverse=True)[:LISTED_MAX]
    return [_mail(key, maildir[key]) for key in newest]


def read_mail(folder: Path, key: str) -> MailText | None:
    """One mail with its plain text. The key is looked up among the folder's; it never becomes a path."""
    maildir = _open(folder)
    message = maildir.get(key) if maildir is not None else None
    if message is None:
        return None
    plain = [part for part in message.walk() if part.get_content_type() == "text/plain"]
    payload = plain[0].get_payload(decode=True) if plain else b""
    text = payload.decode(errors="replace") if isinstance(payload, bytes) else ""
    return MailText(_mail(key, message), text)


def _wants_json(request: Request[Any, Any, Any]) -> bool:
    return "application/json" in request.headers.get("accept", "")


@get("/mailbox", sync_to_thread=True, include_in_schema=False)
def show_mailbox(
    request: Request[Any, Any, Any], settings: NamedDependency[GatewaySettings]
) -> Response[Any]:
    only_here(request, settings.demo)
    mails = list_mails(settings.mailbox)
    if _wants_json(request):
        return Response(mails)
    rows = [
        [
            escape(mail.date),
            f"<a href='/mailbox/{escape(mail.id)}'>{escape(mail.subject)}</a>",
            escape(mail.recipient),
        ]
        for mail in mails
    ]
    return page("Mailbox", table(["date", "subject", "to"], rows) if rows else "<p>No mail yet.</p>")


@get("/mailbox/{mail_id:str}", sync_to_thread=True, include_in_schema=False)
def show_mail(
    request: Request[Any, Any, Any], settings: NamedDependency[GatewaySettings], mail_id: FromPath[str]
) -> Response[Any]:
    only_here(request, settings.demo)
    found = read_mail(settings.mailbox, mail_id)
    if found is None:
        raise ApiError(NOT_FOUND, f"mail '{mail_id[:60]}' is not in the mailbox; GET /mailbox lists what is")
    if _wants_json(request):
        return Response(found)
    mail = found.mail
    head = f"<p>{escape(mail.date)}<br>from {escape(mail.sender)} to {escape(mail.recipient)}</p>"
    return page(mail.subject, f"{head}<pre>{escape(found.text)}</pre><p><a href='/mailbox'>Mailbox</a></p>")
