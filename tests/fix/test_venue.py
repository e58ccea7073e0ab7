"""A venue's file, from its text to a session that is on: profile, secrets, TLS, pace, all of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from core import ids
from fix.codec import Message
from fix.durable import SessionKey
from fix.initiator import Initiator
from fix.profiles.files import shipped
from fix.profiles.profile import ProfileError
from fix.tags import Tag
from fix.tls import TlsError, TlsFiles, listening
from fix.venue import Venue, line_to, session_config, venue_of_file
from tests.fix.certificates import Authority
from tests.fix.desk import FixDesk
from tests.fix.peers import Desk, accepting, order, until
from tests.fix.peers import Venue as Answering
from tests.stack import free_port_base

PROFILE = """
name = "our-broker"
about = "a broker of ours"
tls = true
time_precision = "us"
[auth]
scheme = "plain"
username_tag = 553
password_tag = 554
[heartbeat]
usual_s = 7
[throttle]
messages = 500
[extra]
header = [[50, "DESK"]]
logon = [[9406, "N"]]
"""


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "venue.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


async def test_a_file_is_all_that_a_venue_needs(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    ours = authority.certificate("desk.test")
    (tmp_path / "profile.toml").write_text(PROFILE)
    logons: list[Message] = []

    def admit(_key: SessionKey, logon: Message) -> str | None:
        logons.append(logon)
        return None if (logon.get(553), logon.get(554)) == ("user", "hunter2") else "wrong password"

    desk, tls = Desk(), listening(authority.certificate("fix.venue.test"))
    async with accepting(tmp_path / "venue", Answering(), tls=tls, admit=admit) as (_, port):
        venue = venue_of_file(
            write(
                tmp_path,
                f"""
                profile = "profile.toml"
                sender = "TRADEWIND"
                target = "SIMULATOR"
                hosts = [{{ host = "127.0.0.1", port = {port}, server_name = "fix.venue.test" }}]
                username = "user"
                password = "hunter2"
                tls_cert = "tls/desk.test.crt"
                tls_key = "{ours.key}"
                tls_ca = "tls/authority.pem"
                """,
            )
        )
        assert "hunter2" not in repr(venue)
        profile = venue.its_profile()
        config = session_config(profile, venue.sender, venue.target, venue.secrets)
        us = Initiator(tmp_path / "desk", config, desk, line_to(profile, venue.hosts, venue.tls_files))
        running = asyncio.create_task(us.run())
        us.session.send([order("A")])
        await until(lambda: desk.heard == ["A"])
        await us.close()
        running.cancel()
    (logon,) = logons
    assert (logon.get(50), logon.get(9406), logon.get(Tag.HeartBtInt)) == ("DESK", "N", "7")
    assert len(logon.require(Tag.SendingTime)) == len("20261124-12:00:00.123456")


GOOD = 'profile = "lmax-like"\nsender = "A"\ntarget = "B"\n'


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        (GOOD, 0o644, "has mode 644; others could read its secrets: chmod 600"),
        ("sender = 'A'", 0o600, "missing required field `profile`"),
        (GOOD + "passwort = 'hunter2'", 0o600, "unknown field `passwort`"),
        (GOOD + "password = hunter2", 0o600, "is no TOML"),
    ],
)
def test_a_file_that_can_not_be_used_says_why_and_shows_no_secret(
    tmp_path: Path, text: str, mode: int, says: str
) -> None:
    with pytest.raises(ProfileError, match=says) as caught:
        venue_of_file(write(tmp_path, text, mode))
    assert "hunter2" not in str(caught.value)


def test_a_venue_is_refused_before_it_is_called(tmp_path: Path) -> None:
    binance = shipped("binance-like")
    with pytest.raises(ProfileError, match="SenderCompID 'TOO-LONG-A-NAME' does not match"):
        session_config(binance, "TOO-LONG-A-NAME", "SPOT", Venue("binance-like", "A", "SPOT").secrets)
    with pytest.raises(ProfileError, match="simulator: no host is known"):
        line_to(shipped("simulator"), (), TlsFiles())
    with pytest.raises(TlsError, match="No such file"):
        line_to(binance, (), TlsFiles(ca=tmp_path / "none.pem"))
    assert line_to(binance, (), TlsFiles()).hosts[0].host == "fix-oe.binance.com"


async def test_the_desk_routes_by_the_file_at_the_venues_pace_and_cancels_pass(tmp_path: Path) -> None:
    (tmp_path / "profile.toml").write_text(
        """
        name = "slow"
        about = "five messages a second"
        throttle = { messages = 5 }
        extra = { order = [[47, "A"]] }
        """
    )
    desk = FixDesk(tmp_path / "desk", free_port_base())
    text = f"""
        profile = "profile.toml"
        sender = "TRADEWIND"
        target = "SIMULATOR"
        hosts = [{{ host = "127.0.0.1", port = {desk.config.ports.venue} }}]
        """
    desk.config = msgspec.structs.replace(desk.config, venue_file=write(tmp_path, text))
    async with desk:
        client = desk.client()
        await client.logged_on()
        for i in range(20):
            client.order(str(i), OrderQty="1")
        await until(lambda: len(desk.venue.heard) > 0, 60)
        client.cancel("X", "0")
        await until(lambda: len(desk.venue.heard) == 21, 60)
        names = desk.venue.heard
        (cancel,) = [at for at, name in enumerate(names) if "-C" in name]
        assert cancel < 20, "the cancel of the first order passed those that waited"
        orders = [name for name in names if "-C" not in name]
        assert orders == sorted(orders, key=ids.order_id_of), "and they kept their order"
        assert {desk.venue.orders[name].get(47) for name in orders} == {"A"}
        assert (desk.folder / "fix" / "venue-TRADEWIND-SIMULATOR").is_dir()
