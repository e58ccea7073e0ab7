"""Names that leave the shard: order and execution UUIDs, and the ClOrdID a venue sees. All are functions of
(shard, sequence number), so that nothing has to be stored to know one again, and none is ever used twice.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple
from uuid import UUID

# RFC 9562 version 8 ("custom"): 48 bits of name space, then ours. One name space for each kind of thing.
_ORDER: Final = 0x7472_6F72_6400  # "trord"
_EXECUTION: Final = 0x7472_6578_6500  # "trexe"
_ACCOUNT: Final = 0x7472_6163_6300  # "tracc"
_INSTRUMENT: Final = 0x7472_696E_7300  # "trins"

# How often one order can be replaced: a request's number is a u2 in its event. A quote that moves each second of a
# day stays below.
REPLACEMENTS_MAX: Final = (1 << 16) - 1

# As `cl_ord_id` and `replace_cl_ord_id` write it: 19 digits hold every order id.
_CL_ORD_ID: Final = re.compile(r"TW[0-9]{3,4}-(0|[1-9][0-9]{0,18})(?:R([1-9][0-9]{0,4}))?")


# The numbers that a UUID has room for; a log gives out no other.
NUMBERS: Final = 1 << 62


# The first number of a new log, so that a venue which has seen an earlier one's orders is given no ClOrdID twice: it
# goes up by NUMBERS_A_SECOND with the wall clock. A log that wrote fewer records a second than that, over all its life,
# stays below where one that is begun after it begins. Twelve digits until 2027: a ClOrdID of 20 characters holds it.
BEGINNING_S: Final = 1_704_067_200  # 2024-01-01 00:00 UTC
NUMBERS_A_SECOND: Final = 10_000


def first_number(now_ns: int) -> int:
    """Of a log that is begun now."""
    return max(now_ns // 1_000_000_000 - BEGINNING_S, 0) * NUMBERS_A_SECOND + 1


class IdError(ValueError):
    """An id that this platform never gave out."""


def _uuid(space: int, shard: int, number: int) -> UUID:
    # 48 bits space | version 8 | 12 bits shard | variant 10 | 62 bits number
    assert 0 <= shard < 4096
    assert 0 <= number < NUMBERS
    return UUID(int=(space << 80) | (8 << 76) | (shard << 64) | (2 << 62) | number)


def order_uuid(shard: int, order_id: int) -> UUID:
    return _uuid(_ORDER, shard, order_id)


def execution_uuid(shard: int, event_seq: int) -> UUID:
    return _uuid(_EXECUTION, shard, event_seq)


def account_uuid(shard: int, account: int) -> UUID:
    return _uuid(_ACCOUNT, shard, account)


def instrument_uuid(shard: int, instrument: int) -> UUID:
    return _uuid(_INSTRUMENT, shard, instrument)


def number_of(uuid: UUID | str, shard: int = 0) -> int:
    """The order id, account or instrument number inside one of our UUIDs. Raises IdError for any other."""
    try:
        value = (uuid if isinstance(uuid, UUID) else UUID(uuid)).int
    except ValueError:
        raise IdError(f"{uuid!r} is not a UUID") from None
    number = value & (NUMBERS - 1)
    if (
        value >> 80 not in (_ORDER, _EXECUTION, _ACCOUNT, _INSTRUMENT)
        or _uuid(value >> 80, shard, number).int != value
    ):
        raise IdError(f"{uuid} was not given out by this shard")
    return number


def cl_ord_id(shard: int, order_id: int) -> str:
    """ClOrdID (11) of the order at the venue."""
    return f"TW{shard:03d}-{order_id}"


class ClOrdId(NamedTuple):
    """What a ClOrdID of ours names: an order, and with a replacement above 0 a request to replace it."""

    order_id: int
    replacement: int


def replace_cl_ord_id(shard: int, order_id: int, replacement: int) -> str:
    """ClOrdID (11) of an OrderCancelReplaceRequest: the order's, and the request's number among those of the
    order; for 0 the order's own. So a report that names any link of the chain says which order it is about."""
    name = cl_ord_id(shard, order_id)
    return f"{name}R{replacement}" if replacement else name


def cancel_cl_ord_id(shard: int, event_seq: int) -> str:
    """ClOrdID (11) of an OrderCancelRequest: named by the event that asked for it."""
    return f"TW{shard:03d}-C{event_seq}"


def parse_cl_ord_id(text: str) -> ClOrdId:
    """What a ClOrdID made by `cl_ord_id` or `replace_cl_ord_id` names. Raises IdError for any other text."""
    found = _CL_ORD_ID.fullmatch(text)
    number = int(found[2] or 0) if found is not None else 0
    if found is None or number > REPLACEMENTS_MAX:
        raise IdError(f"ClOrdID {text[:64]!r} is not one of ours")
    return ClOrdId(int(found[1]), number)


def order_id_of(cl_ord_id: str) -> int:
    """The order that a ClOrdID of ours names. Raises IdError for any other text."""
    return parse_cl_ord_id(cl_ord_id).order_id


def exec_hash(exec_id: str) -> int:
    """64 bits of a venue's ExecID, as an int64, never 0; 0 for no ExecID.

    It names an execution within its order: of a million executions of one order, two have the same with a
    probability of 3 in a hundred million."""
    if not exec_id:
        return 0
    digest = hashlib.blake2b(exec_id.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True) or 1
