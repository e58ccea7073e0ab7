"""What is secret in a message stays out of logs, however the message looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.codec import encode
from fix.redact import readable, redact

SECRET = b"swordfish"
NOISE = st.binary(max_size=30).filter(lambda noise: b"swordfish" not in noise)


@pytest.mark.parametrize("tag", [554, 925, 1402, 1404, 96])
def test_a_secret_is_hidden_and_all_else_stays(tag: int) -> None:
    raw = encode("FIX.4.4", [(35, "A"), (553, "me"), (tag, "swordfish"), (98, "0")])
    assert redact(raw) == raw.replace(SECRET, b"***")


def test_raw_data_is_hidden_whole_soh_and_tags_in_it_too() -> None:
    raw = encode("FIX.4.4", [(35, "A"), (95, "16"), (96, "ab\x0158=swordfish\x01"), (98, "0")])
    assert b"96=***\x0198=0" in redact(raw)


@pytest.mark.parametrize("length", [b"0", b"1", b"12", b"9999", b"x", b""])
def test_a_length_that_is_wrong_never_shows_more(length: bytes) -> None:
    assert SECRET not in redact(
        b"8=FIX.4.4\x0195=" + length + b"\x0196=sword\x01fish swordfish"[:9] + SECRET + b"\x0158=a\x01"
    )


@given(NOISE, NOISE)
def test_a_secret_is_hidden_in_any_bytes(before: bytes, after: bytes) -> None:
    assert SECRET not in redact(before + b"\x01554=" + SECRET + b"\x01" + after)


@given(NOISE)
def test_what_has_no_secret_is_as_it_was(raw: bytes) -> None:
    if not any(tag in raw for tag in (b"554=", b"925=", b"1402=", b"1404=", b"96=")):
        assert redact(raw) == raw


def test_a_log_line_has_no_byte_that_a_terminal_obeys() -> None:
    assert readable(b"8=FIX.4.4\x0158=\x1b[2J\n\x01554=x\x01") == "8=FIX.4.4|58=.[2J.|554=***|"
