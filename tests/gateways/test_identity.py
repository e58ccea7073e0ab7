"""Keys: made once, kept, compared as hashes, for one account each."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gateways.identity import Credentials, DemoKey, Identity, IdentityError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "credentials.json"


@pytest.fixture
def demo(path: Path) -> DemoKey:
    made = Credentials.create_demo(path).demo
    assert made is not None
    return made


def identity(path: Path) -> Identity:
    return Identity(Credentials.load(path), {"TW000001": 7}.get)


def test_the_demo_key_is_kept_over_restarts(path: Path, demo: DemoKey) -> None:
    assert Credentials.create_demo(path).demo == demo
    assert Credentials.load(path).demo == demo


def test_two_installations_have_different_secrets(tmp_path: Path) -> None:
    first, second = (Credentials.create_demo(tmp_path / name).demo for name in ("a.json", "b.json"))
    assert first is not None
    assert second is not None
    assert first.secret_key != second.secret_key


def test_only_the_owner_can_read_the_file(path: Path, demo: DemoKey) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(IdentityError, match="chmod 600"):
        Credentials.load(path)


def test_a_key_speaks_for_its_account(path: Path, demo: DemoKey) -> None:
    assert Credentials.load(path).authenticate(demo.key_id, demo.secret_key) == "TW000001"
    assert identity(path).account(demo.key_id, demo.secret_key) == 7


def test_a_wrong_secret_and_an_unknown_key_are_refused(path: Path, demo: DemoKey) -> None:
    known = identity(path)
    assert known.account(demo.key_id, demo.secret_key + "x") is None
    assert known.account(demo.key_id, "") is None
    assert known.account("nobody", demo.secret_key) is None
    # The hash of the word that unknown keys are compared with opens nothing.
    assert known.account("nobody", "no such key") is None


def test_an_account_that_is_not_open_yet_is_looked_for_again(path: Path, demo: DemoKey) -> None:
    accounts: dict[str, int] = {}
    known = Identity(Credentials.load(path), accounts.get)
    assert known.account(demo.key_id, demo.secret_key) is None
    accounts["TW000001"] = 1
    assert known.account(demo.key_id, demo.secret_key) == 1


def test_headers_and_http_basic_both_authenticate(path: Path, demo: DemoKey) -> None:
    known = identity(path)
    headers = {"apca-api-key-id": demo.key_id, "apca-api-secret-key": demo.secret_key}
    basic = base64.b64encode(f"{demo.key_id}:{demo.secret_key}".encode()).decode()
    assert known.account_of_headers(headers) == 7
    assert known.account_of_headers({"authorization": f"Basic {basic}"}) == 7


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Bearer abc", "Basic /w=="]
)
def test_a_header_that_is_no_key_authenticates_nobody(path: Path, demo: DemoKey, header: str) -> None:
    assert identity(path).account_of_headers({"authorization": header}) is None


def test_a_file_that_holds_no_credentials_is_named(path: Path, demo: DemoKey) -> None:
    path.write_text("{")
    with pytest.raises(IdentityError, match=r"credentials\.json"):
        Credentials.load(path)
    path.unlink()
    with pytest.raises(IdentityError, match="tradewind up"):
        Credentials.load(path)
