"""`tradewind fix decode`: messages found wherever they stand, named, and without their secrets."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import cli
from app.fix_decode import Finder, named
from fix.codec import encode

LOGON = encode(
    "FIX.4.4",
    [
        (35, "A"),
        (34, "1"),
        (49, "DESK"),
        (56, "VENUE"),
        (553, "me"),
        (554, "swordfish"),
        (95, "5"),
        (96, "a\x01b=c"),
    ],
)
ORDER = encode(
    "FIX.4.4",
    [(35, "D"), (34, "2"), (49, "DESK"), (56, "VENUE"), (54, "1"), (58, "a|b"), (18, "1 6"), (5001, "own")],
)


def decoded(capsys: pytest.CaptureFixture[str], path: Path, data: bytes, *words: str) -> str:
    (path / "messages").write_bytes(data)
    assert cli.main(["fix", "decode", str(path / "messages"), *words]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("separator", [b"\x01", b"|", b"^A"])
@pytest.mark.parametrize("frame", [b"%s", b"2026-11-24 06:39 INFO in: %s\n", b"%s\r\nnext line", b"<%s>"])
def test_a_message_is_found_wherever_it_stands(separator: bytes, frame: bytes) -> None:
    line = frame % ORDER.replace(b"\x01", separator)
    for size in (1, 7, len(line)):
        finder = Finder()
        found = [one for at in range(0, len(line), size) for one in finder.feed(line[at : at + size])]
        found += finder.feed(b"", last=True)
        assert [(one.raw, one.problems) for one in found] == [(ORDER, [])]


def test_a_field_is_printed_with_its_name_and_its_meaning(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = decoded(capsys, tmp_path, ORDER).splitlines()
    assert lines[0].startswith("NewOrderSingle (D)  DESK -> VENUE  number 2")
    assert ["54", "Side", "1", "BUY"] in [line.split() for line in lines]
    assert ["5001", "own"] in [line.split() for line in lines]
    assert any("18  ExecInst" in line and "NOT_HELD" in line for line in lines)


def test_secrets_are_printed_only_when_they_are_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for separator in (b"\x01", b"|", b"^A"):
        raw = LOGON.replace(b"\x01", separator)
        for words in ((), ("--json",)):
            out = decoded(capsys, tmp_path, raw, *words)
            assert "swordfish" not in out
            assert "b=c" not in out
        assert "swordfish" in decoded(capsys, tmp_path, raw, "--secrets")


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    logon, order = map(json.loads, decoded(capsys, tmp_path, LOGON + ORDER, "--json").splitlines())
    assert (logon["name"], order["name"]) == ("Logon", "NewOrderSingle")
    assert {"tag": 54, "name": "Side", "value": "1", "meaning": "BUY"} in order["fields"]
    assert order["problems"] == []


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        (ORDER.replace(b"54=1", b"54=2"), "CheckSum (10) is"),
        (ORDER.replace(b"54=1", b"54=11"), "BodyLength (9) is"),
        (ORDER[:-7], "CheckSum (10) is missing"),
    ],
)
def test_a_damaged_message_is_shown_with_what_is_wrong_and_the_next_is_sound(
    damaged: bytes, problem: str
) -> None:
    for between in (b"", b"\n"):
        broken, sound = Finder().feed(damaged + between + LOGON, last=True)
        assert any(problem in said for said in broken.problems)
        assert (sound.raw, sound.problems) == (LOGON, [])


@settings(deadline=None)
@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([ORDER, LOGON, ORDER[:40], b"8=FIX.4.4|9=5|", b"10=123"])
    )
)
def test_nothing_that_comes_stops_it(pieces: list[bytes]) -> None:
    finder = Finder()
    for found in [*(one for piece in pieces for one in finder.feed(piece)), *finder.feed(b"", last=True)]:
        assert named(found.raw)


def test_nothing_found_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"no message here")))
    assert cli.main(["fix", "decode"]) == 1
    assert "no FIX message" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["fix", "decode", str(tmp_path / "none")]) == 1
    assert "No such file" in capsys.readouterr().err
