"""The mail server keeps each mail once, whole, and not too many of them."""

from __future__ import annotations

import mailbox as standard
from pathlib import Path

import aiosmtplib
import pytest

from services import mailbox
from services.mailbox import MESSAGE_BYTES_MAX, Maildir
from tests.services.conftest import free_port


def a_mail(message_id: str, text: str = "hello") -> bytes:
    return f"Message-ID: <{message_id}>\r\nSubject: {text}\r\n\r\n{text}\r\n".encode()


async def send(port: int, mail: bytes) -> str:
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port) as smtp:
        _, answer = await smtp.sendmail("a@tradewind.local", "b@tradewind.local", mail)
    return answer


async def test_a_mail_sent_is_a_mail_that_any_mail_program_reads(mail_port: int, tmp_path: Path) -> None:
    assert "stored" in await send(mail_port, a_mail("one", "good news"))
    [found] = standard.Maildir(tmp_path / "mailbox", create=False)
    assert found["Subject"] == "good news"


async def test_a_repeated_message_id_is_answered_well_and_kept_once(
    mail_port: int, a_maildir: Maildir
) -> None:
    await send(mail_port, a_mail("one"))
    assert "had it already" in await send(mail_port, a_mail("one"))
    await send(mail_port, a_mail("two"))
    assert len(a_maildir) == 2


def test_a_message_id_is_known_after_a_restart_also_when_the_mail_was_read(tmp_path: Path) -> None:
    folder = tmp_path / "mailbox"
    before = Maildir(folder)
    assert before.add(a_mail("one"), 1)
    assert before.add(a_mail("two"), 2)
    [one, _] = sorted((folder / "new").iterdir())
    one.rename(folder / "cur" / f"{one.name}:2,S")
    after = Maildir(folder)
    assert len(after) == 2
    assert not after.add(a_mail("one"), 3)
    assert not after.add(a_mail("two"), 3)


def test_what_a_crash_left_half_written_is_swept_away(tmp_path: Path) -> None:
    folder = tmp_path / "mailbox"
    Maildir(folder)
    (folder / "tmp" / "half").write_bytes(b"Message-ID: <on")
    assert len(Maildir(folder)) == 0
    assert list((folder / "tmp").iterdir()) == []


def test_a_full_mailbox_lets_the_oldest_go_read_or_not(tmp_path: Path) -> None:
    folder = tmp_path / "mailbox"
    maildir = Maildir(folder, messages_max=3)
    for number in range(1, 4):
        maildir.add(a_mail(str(number)), number)
    oldest = min((folder / "new").iterdir())
    oldest.rename(folder / "cur" / f"{oldest.name}:2,S")
    maildir.add(a_mail("4"), 4)
    maildir.add(a_mail("5"), 5)
    assert list((folder / "cur").iterdir()) == []
    assert [file.name.split(".")[0] for file in sorted((folder / "new").iterdir())] == [
        f"{number:020d}" for number in (3, 4, 5)
    ]


def test_mails_without_a_message_id_are_told_apart_by_their_content(a_maildir: Maildir) -> None:
    assert a_maildir.add(b"Subject: one\r\n\r\n", 1)
    assert a_maildir.add(b"Subject: two\r\n\r\n", 2)
    assert not a_maildir.add(b"Subject: one\r\n\r\n", 3)


async def test_a_mail_over_the_size_is_refused_for_good(mail_port: int, a_maildir: Maildir) -> None:
    with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
        await send(mail_port, a_mail("big", "x" * 900 + "\r\n") * (1 + MESSAGE_BYTES_MAX // 900))
    assert refused.value.code == 552
    assert len(a_maildir) == 0


async def test_a_folder_that_cannot_be_written_asks_the_sender_to_come_again(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path / "mailbox")
    server = await mailbox.serve(maildir, port := free_port())
    for folder in ("tmp", "new", "cur"):
        (tmp_path / "mailbox" / folder).rmdir()
    with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
        await send(port, a_mail("one"))
    assert refused.value.code == 452
    server.close()
