"""Venue profiles: those that are shipped, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import ids
from fix.profiles import files
from fix.profiles.profile import Profile, ProfileError

GOOD = 'name = "ours"\nabout = "a broker"\n'


def of(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "venue.toml"
    path.write_text(GOOD + text)
    return files.of_file(path)


def test_five_profiles_are_shipped_under_their_own_names() -> None:
    assert files.names() == ["binance-like", "cboe-like", "coinbase-like", "lmax-like", "simulator"]
    assert [files.shipped(name).name for name in files.names()] == files.names()


@pytest.mark.parametrize("name", files.names())
def test_our_ids_of_orders_and_cancels_are_what_a_shipped_venue_takes(name: str) -> None:
    profile = files.shipped(name)
    last = 10**12 - 1  # of a log with a trillion records, the ids have 20 characters
    for shard in (0, 4095):
        profile.check_cl_ord_id(ids.cl_ord_id(shard, last))
        profile.check_cl_ord_id(ids.cancel_cl_ord_id(shard, last))


def test_a_desk_writes_a_profile_of_its_own(tmp_path: Path) -> None:
    profile = of(
        tmp_path,
        """
        hosts = [{ host = "fix.one", port = 9000 }, { host = "10.0.0.2", port = 9001, server_name = "fix.two" }]
        [throttle]
        messages = 50
        [schedule]
        start_zone = "Europe/Zurich"
        start_time = 07:00:00
        end_zone = "Europe/Zurich"
        end_time = 22:00:00
        days = ["monday"]
        """,
    )
    assert [host.port for host in profile.hosts] == [9000, 9001]
    assert profile.throttle is not None
    assert (profile.throttle.window_ms, profile.throttle.breach) == (1000, "delay")
    assert profile.schedule is not None
    assert profile.schedule.days == ("monday",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour = 1", "unknown field `colour`"),
        ("[throttle]\nmessages = 0", r"`int` >= 1 - at `\$.throttle.messages`"),
        ("[throttle]\nmessages = 1\nbreach = 'beg'", r"Invalid enum value 'beg' - at `\$.throttle.breach`"),
        ("[auth]\nscheme = 'ed25519'\npayload = [35]", "needs signature_tag"),
        ("[auth]\nscheme = 'hmac-sha256'\nsignature_tag = 96", "needs payload"),
        ("[auth]\nscheme = 'plain'", "sends nothing"),
        ("[auth]\nsignature_tag = 96", "signs nothing"),
        ("[heartbeat]\nmin_s = 5\nusual_s = 3", "heartbeat.usual_s 3 is not within 5 to 60"),
        ("versions = []", "versions is empty"),
        ("versions = ['FIXT.1.1']", "appl_version"),
        ("[resend]\nsupported = false", "'reset' where they are not"),
        ("[resend]\nsupported = false\non_gap = 'reset'", "needs reset.on_logon"),
        ("[reset]\neach_session = true", "needs a schedule"),
        ("[cancel_on_disconnect]\nby = 'logon'", "tag and value go with by = 'logon'"),
        ("[extra]\nlogon = [[108, '5']]", "tag 108 is the session's own"),
        ("[extra]\norder = [[1, 'A'], [1, 'B']]", "a tag comes twice"),
        ("[extra]\norder = [[1, '']]", "give one without SOH"),
        ("[cl_ord_id]\npattern = '['", "'\\[' is no regular expression"),
        ("[schedule]\nstart_zone = 'Mars/Base'", "schedule: time zone 'Mars/Base' is not known"),
        ("hosts = [", "mend that value"),
    ],
)
def test_a_bad_profile_is_refused_with_the_value_and_the_remedy(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        of(tmp_path, text)


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="there is no profile 'nasdaq-like'; there are binance-like"):
        files.shipped("nasdaq-like")
    with pytest.raises(ProfileError, match="No such file"):
        files.of_file(tmp_path / "none.toml")


def test_ids_that_a_venue_refuses_are_refused_here() -> None:
    binance = files.shipped("binance-like")
    with pytest.raises(ProfileError, match="SenderCompID 'TRADEWIND1' does not match"):
        binance.check_comp_ids("TRADEWIND1", "SPOT")
    with pytest.raises(ProfileError, match="TargetCompID 'SPOTS' must be 'SPOT'"):
        binance.check_comp_ids("DESK", "SPOTS")
    with pytest.raises(ProfileError, match="has 37 characters; at most 36"):
        binance.check_cl_ord_id("x" * 37)
    with pytest.raises(ProfileError, match="does not match"):
        binance.check_cl_ord_id("a b")
