"""The client FIX door's request_ids: functions of what was asked, so that a request sent again is known by its id."""

from __future__ import annotations

from typing import Final

from shared_mem.jit import jit

# A request_id: 22 bits of account, 16 of resets, 26 of MsgSeqNum. All wrap, long after what they name is
# over.
_ACCOUNT_BITS: Final = 22
_RESET_BITS: Final = 16
_SEQ_BITS: Final = 26


def cancel_request_id(account: int, order_id: int) -> int:
    """Of a cancel that the door makes itself: under a count of resets that no session reaches."""
    return request_id_of(account, (1 << _RESET_BITS) - 1, order_id)


@jit
def request_id_in(account: int, resets: int, seq: int) -> int:
    """As `request_id_of`, for compiled code: the same 64 bits."""
    account &= (1 << _ACCOUNT_BITS) - 1
    resets &= (1 << _RESET_BITS) - 1
    return (account << _RESET_BITS | resets) << _SEQ_BITS | seq & ((1 << _SEQ_BITS) - 1)


def request_id_of(account: int, resets: int, seq: int) -> int:
    account %= 1 << _ACCOUNT_BITS
    resets %= 1 << _RESET_BITS
    return (account << _RESET_BITS | resets) << _SEQ_BITS | seq % (1 << _SEQ_BITS)
