"""Logons that authenticate, against published vectors and an independent computation."""

from __future__ import annotations

import base64
import hashlib
import hmac

import msgspec
import pytest

from fix.auth import Secrets, SecretsError, logon_signer
from fix.codec import parse
from fix.profiles.files import shipped
from fix.profiles.profile import Auth
from fix.session import Role, Session, SessionConfig
from fix.timestamps import parse_ns

# Published: binance/binance-spot-api-docs on GitHub, fix-api.md, "How to sign Logon<A> request" (commit 021246e).
BINANCE_PEM = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u
-----END PRIVATE KEY-----
"""
BINANCE_KEY_ID = "sBRXrJx2DsOraMXOaUovEhgVRcjOvCtQwnWj8VxkOh1xqboS02SPGfKi2h8spZJb"
BINANCE_SIGNATURE = "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
BINANCE_LOGON = (
    f"8=FIX.4.4|9=247|35=A|34=1|49=EXAMPLE|52=20240627-11:17:25.223|56=SPOT|95=88|96={BINANCE_SIGNATURE}"
    f"|98=0|108=30|141=Y|553={BINANCE_KEY_ID}|25035=2|10=227|"
)


def test_binances_published_signature() -> None:
    sign = logon_signer(shipped("binance-like"), "EXAMPLE", "SPOT", Secrets(BINANCE_KEY_ID, key=BINANCE_PEM))
    assert sign is not None
    assert sign(1, "20240627-11:17:25.223") == ((95, "88"), (96, BINANCE_SIGNATURE), (553, BINANCE_KEY_ID))


def test_binances_published_logon_but_for_the_order_of_its_body() -> None:
    """Theirs has SendingTime in milliseconds, where the profile has microseconds: the vector's form is taken."""
    profile = shipped("binance-like")
    secrets = Secrets(BINANCE_KEY_ID, key=BINANCE_PEM)
    sign = logon_signer(profile, "EXAMPLE", "SPOT", secrets)
    config = SessionConfig(
        "EXAMPLE", "SPOT", Role.INITIATOR, heartbeat_s=30, sign=sign, logon_fields=profile.logon_fields
    )
    session = Session(config)
    session.connected(parse_ns("20240627-11:17:25.223"), reset=True)
    (sent,) = session.take_outgoing()
    theirs = parse(BINANCE_LOGON.replace("|", "\x01").encode())
    ours = parse(sent.raw)
    assert sorted(ours.fields) == sorted(theirs.fields), "the same fields, so the same length and checksum"


def test_a_coinbase_like_signature_is_an_hmac_over_what_is_sent() -> None:
    key = base64.b64encode(b"a secret of the desk").decode()
    secrets = Secrets("key id", "phrase", key)
    sign = logon_signer(shipped("coinbase-like"), "DESK", "Coinbase", secrets)
    assert sign is not None
    fields = dict(sign(1, "20261124-12:00:00.000"))
    payload = "\x01".join(["20261124-12:00:00.000", "A", "1", "DESK", "Coinbase", "phrase"])
    digest = hmac.new(b"a secret of the desk", payload.encode(), hashlib.sha256).digest()
    assert fields == {95: "44", 96: base64.b64encode(digest).decode(), 553: "key id", 554: "phrase"}


def test_an_hmac_may_be_of_sha512_in_hex_and_replace_the_password() -> None:
    auth = Auth(
        "hmac-sha512",
        username_tag=553,
        payload=(35, 553, 34),
        separator="",
        signature_tag=554,
        encoding="hex",
    )
    profile = msgspec.structs.replace(shipped("simulator"), auth=auth)
    sign = logon_signer(profile, "A", "B", Secrets("key id", key="text key"))
    assert sign is not None
    digest = hmac.new(b"text key", b"Akey id7", hashlib.sha512).hexdigest()
    assert sign(7, "t") == ((554, digest), (553, "key id"))


def test_user_and_password_go_as_they_are() -> None:
    sign = logon_signer(shipped("lmax-like"), "A", "B", Secrets("user", "password"))
    assert sign is not None
    assert sign(1, "t") == ((553, "user"), (554, "password"))


def test_a_venue_that_asks_for_nothing_gets_nothing() -> None:
    assert logon_signer(shipped("simulator"), "A", "B", Secrets()) is None


@pytest.mark.parametrize(
    ("profile", "secrets", "text"),
    [
        ("lmax-like", Secrets("user"), "needs a password .tag 554"),
        ("lmax-like", Secrets("us\x01er", "p"), "needs a username .tag 553"),
        ("binance-like", Secrets("id"), "signs its Logon by ed25519; give the key"),
        ("binance-like", Secrets("id", key="hunter2"), "the key .7 characters. is no PEM"),
        ("coinbase-like", Secrets("id", "p", "not base64!"), "the key .11 characters. is not base64"),
    ],
)
def test_secrets_that_do_not_fit_are_named_and_not_shown(profile: str, secrets: Secrets, text: str) -> None:
    with pytest.raises(SecretsError, match=text) as caught:
        logon_signer(shipped(profile), "A", "B", secrets)
    for secret in (secrets.key, secrets.password):
        assert not secret or len(secret) < 3 or secret not in str(caught.value)


def test_secrets_show_nothing_of_themselves() -> None:
    assert repr(Secrets("user", key="hunter2")) == "Secrets(key, username)"
