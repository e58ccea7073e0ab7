"""Ids are functions of shard and number, and only ours are taken back."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import ids
from core.ids import IdError

SHARD = st.integers(0, 4095)
NUMBER = st.integers(0, 2**62 - 1)
MAKERS = [ids.order_uuid, ids.execution_uuid, ids.account_uuid, ids.instrument_uuid]


@pytest.mark.parametrize("make", MAKERS)
@given(shard=SHARD, number=NUMBER)
def test_a_uuid_gives_its_number_back(make: Callable[[int, int], UUID], shard: int, number: int) -> None:
    uuid = make(shard, number)
    assert ids.number_of(uuid, shard) == number
    assert ids.number_of(str(uuid), shard) == number
    assert (uuid.version, uuid.variant) == (8, "specified in RFC 4122")
    with pytest.raises(IdError, match="not given out by this shard"):
        ids.number_of(uuid, (shard + 1) % 4096)


def test_kinds_never_share_a_uuid() -> None:
    assert len({make(0, 1) for make in MAKERS}) == len(MAKERS)


@given(st.uuids())
def test_a_foreign_uuid_is_refused(uuid: UUID) -> None:
    with pytest.raises(IdError, match=str(uuid)):
        ids.number_of(uuid)


@pytest.mark.parametrize("text", ["", "1", "not-a-uuid", str(uuid4())[:-1]])
def test_what_is_no_uuid_is_named(text: str) -> None:
    with pytest.raises(IdError, match="is not a UUID"):
        ids.number_of(text)


@given(shard=SHARD, number=st.integers(0, 2**63 - 1))
def test_a_cl_ord_id_gives_its_order_back(shard: int, number: int) -> None:
    assert ids.order_id_of(ids.cl_ord_id(shard, number)) == number
    assert len(ids.cl_ord_id(shard, number)) <= 32


@pytest.mark.parametrize(
    "text",
    ["", "TW", "TW000", "TW000-", "TW000-C5", "TW000-5 ", "TW000-+5", "TWxyz-5", "TW-5", "XX000-5", "tw000-5",
     "TW000-5-6", "TW000-²", "TW000-٣", "TW000-" + "9" * 20, "TW000-" + "9" * 5000, "TW000-007"],
)  # fmt: skip
def test_any_other_cl_ord_id_is_refused(text: str) -> None:
    with pytest.raises(IdError, match="not one of ours"):
        ids.order_id_of(text)


def test_a_cancels_id_is_no_orders() -> None:
    with pytest.raises(IdError):
        ids.order_id_of(ids.cancel_cl_ord_id(0, 5))


@given(shard=SHARD, number=st.integers(0, 2**63 - 1), replacement=st.integers(0, ids.REPLACEMENTS_MAX))
def test_a_replaces_cl_ord_id_gives_its_order_and_number_back(
    shard: int, number: int, replacement: int
) -> None:
    name = ids.replace_cl_ord_id(shard, number, replacement)
    assert ids.parse_cl_ord_id(name) == (number, replacement)
    assert ids.order_id_of(name) == number
    assert (name == ids.cl_ord_id(shard, number)) == (replacement == 0)


@pytest.mark.parametrize(
    "text", ["TW000-5R", "TW000-5R0", "TW000-5R01", "TW000-5R65536", "TW000-5R1R2", "TW000-R1"]
)
def test_a_replace_that_never_was_is_refused(text: str) -> None:
    with pytest.raises(IdError, match="not one of ours"):
        ids.parse_cl_ord_id(text)


@given(st.text(max_size=40))
def test_an_exec_id_has_a_hash_of_its_own_and_none_has_zero(text: str) -> None:
    hashed = ids.exec_hash(text)
    assert -(2**63) <= hashed < 2**63
    assert (hashed == 0) == (text == "")
    assert ids.exec_hash(text) == hashed != ids.exec_hash(text + "x")
