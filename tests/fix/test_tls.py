"""TLS lines between real sockets: who is let in, who is not, and what is said about files that can't be used."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

import pytest

from fix.initiator import Line
from fix.profiles.profile import Host
from fix.tls import TlsError, TlsFiles, connecting, listening
from tests.fix.certificates import Authority
from tests.fix.peers import Desk, Venue, accepting, initiating, order, until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@pytest.fixture
def venue_files(authority: Authority) -> TlsFiles:
    """A venue's certificate for the name fix.venue.test; its clients need none."""
    return authority.certificate("fix.venue.test")._replace(ca=None)


def line(port: int, files: TlsFiles, server_name: str = "fix.venue.test") -> Line:
    return Line((Host("127.0.0.1", port, server_name),), connecting(files))


async def test_a_session_over_tls_asks_for_the_venue_by_name(
    tmp_path: Path, authority: Authority, venue_files: TlsFiles
) -> None:
    desk, venue, asked = Desk(), Venue(), list[str | None]()
    tls = listening(venue_files)
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with (
        accepting(tmp_path / "venue", venue, tls=tls) as (_, port),
        initiating(tmp_path / "desk", desk, port, line(port, TlsFiles(ca=authority.ca))) as us,
    ):
        us.session.send([order(str(i)) for i in range(500)])
        await until(lambda: len(desk.heard) == 500)
    assert asked == ["fix.venue.test"]
    assert venue.heard == desk.heard


async def test_a_venue_that_wants_a_certificate_gets_ours(
    tmp_path: Path, authority: Authority, venue_files: TlsFiles
) -> None:
    desk, ours = Desk(), authority.certificate("desk.test")
    tls = listening(venue_files._replace(ca=authority.ca))
    async with (
        accepting(tmp_path / "venue", Venue(), tls=tls) as (_, port),
        initiating(tmp_path / "desk", desk, port, line(port, ours)) as us,
    ):
        us.session.send([order("A")])
        await until(lambda: desk.heard == ["A"])


async def _never_on(tmp_path: Path, tls: ssl.SSLContext | None, to: Line, port: int) -> None:
    """For some tries, no Logon goes through, and the venue is sent no order."""
    desk, venue = Desk(), Venue()
    async with (
        accepting(tmp_path / "venue", venue, port, tls) as (acceptor, _),
        initiating(tmp_path / "desk", desk, port, to) as us,
    ):
        us.session.send([order("A")])
        await asyncio.sleep(1.0)
        assert not us.session.is_logged_on
        assert acceptor.sessions() == []
    assert (venue.heard, venue.logons, desk.logons) == ([], 0, 0)


async def test_another_name_than_the_certificates_is_not_talked_to(
    tmp_path: Path,
    authority: Authority,
    venue_files: TlsFiles,
    free_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    to = line(free_port, TlsFiles(ca=authority.ca), "fix.other.test")
    with caplog.at_level(logging.WARNING):
        await _never_on(tmp_path, listening(venue_files), to, free_port)
    assert "certificate is not valid for 'fix.other.test'" in caplog.text


async def test_a_certificate_of_an_unknown_authority_is_not_talked_to(
    tmp_path: Path, venue_files: TlsFiles, free_port: int
) -> None:
    stranger = Authority(tmp_path / "stranger")
    await _never_on(tmp_path, listening(venue_files), line(free_port, TlsFiles(ca=stranger.ca)), free_port)


async def test_the_machines_authorities_do_not_know_ours(
    tmp_path: Path, venue_files: TlsFiles, free_port: int
) -> None:
    await _never_on(tmp_path, listening(venue_files), line(free_port, TlsFiles()), free_port)


async def test_a_desk_without_a_certificate_is_not_let_in_where_one_is_required(
    tmp_path: Path, authority: Authority, venue_files: TlsFiles, free_port: int
) -> None:
    tls = listening(venue_files._replace(ca=authority.ca))
    await _never_on(tmp_path, tls, line(free_port, TlsFiles(ca=authority.ca)), free_port)


async def test_a_desk_with_a_certificate_of_another_authority_is_not_let_in(
    tmp_path: Path, authority: Authority, venue_files: TlsFiles, free_port: int
) -> None:
    tls = listening(venue_files._replace(ca=authority.ca))
    theirs = Authority(tmp_path / "stranger").certificate("desk.test")._replace(ca=authority.ca)
    await _never_on(tmp_path, tls, line(free_port, theirs), free_port)


async def test_plain_and_tls_do_not_meet(
    tmp_path: Path, authority: Authority, venue_files: TlsFiles, free_port: int
) -> None:
    plain = Line((Host("127.0.0.1", free_port),))
    await _never_on(tmp_path / "1", listening(venue_files), plain, free_port)
    await _never_on(tmp_path / "2", None, line(free_port, TlsFiles(ca=authority.ca)), free_port)


def test_files_that_can_not_be_used_are_named(tmp_path: Path, authority: Authority) -> None:
    one, two = authority.certificate("one.test"), authority.certificate("two.test")
    text = tmp_path / "text"
    text.write_text("not a certificate")
    for files, says in (
        (TlsFiles(cert=one.cert), "the key is not given"),
        (TlsFiles(key=one.key), "the certificate is not given"),
        (TlsFiles(one.cert, two.key), "are no pair of PEM files"),
        (TlsFiles(text, one.key), "are no pair of PEM files"),
        (TlsFiles(tmp_path / "none", one.key), "No such file"),
        (one._replace(ca=text), "is no PEM of a certificate"),
        (one._replace(ca=tmp_path / "none"), "No such file"),
        (authority.certificate("three.test", password=b"secret"), "under a password"),
    ):
        for context in (connecting, listening):
            with pytest.raises(TlsError, match=says):
                context(files)
