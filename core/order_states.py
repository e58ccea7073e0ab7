"""The life of an order, as one table.

Theory of operation. An order is PENDING_NEW from the moment its reservation stands until its venue answers.
The venue's reports move it. A client's cancel or replace only asks, and is a mark beside the status (shown as
PENDING_CANCEL, PENDING_REPLACE), so that a fill which crosses the request on the wire changes nothing else. Four
statuses end it: FILLED, CANCELED, REJECTED, EXPIRED; what is reserved for it is then zero. Money that moved has
moved: a TRADE is booked in every status, also after the end (a fill that crossed our cancel, FIX 4.4 vol. 4
appendix D, case D.7), but by itself it never reopens an order.

                 NEW        TRADE          CANCELED   REJECTED   EXPIRED   REPLACED       TRADE_CANCEL/_CORRECT
  PENDING_NEW    NEW        by quantity    CANCELED   REJECTED   EXPIRED   NEW            by quantity
  NEW            -          by quantity    CANCELED   REJECTED   EXPIRED   NEW            by quantity
  PARTIALLY_F.   -          by quantity    CANCELED   -          EXPIRED   by quantity    by quantity
  FILLED         -          FILLED         -          -          -         by quantity    by the report
  CANCELED       -          CANCELED       -          -          -         -              CANCELED
  REJECTED       -          REJECTED       -          -          -         -              REJECTED
  EXPIRED        -          EXPIRED        -          -          -         -              EXPIRED

'-' : the report does not belong to the status; it is recorded as REPORT_UNEXPECTED and changes nothing.
By quantity: FILLED when cum_qty has reached qty; else PARTIALLY_FILLED, or after an undone trade NEW when nothing
is filled any more.
By the report: an undone trade leaves a FILLED order with less than its quantity. Where the report's OrdStatus (39)
says that it is open, it is open again, by quantity, and reserves again; CANCELED, EXPIRED and FILLED end it as
that; any other word is CANCELED.
REPLACED needs a replace that is pending. While one is, a FILLED order has not ended: it may get more (appendix D,
case D.12), and the venue says whether.

What may be asked, by the status that is shown ('-' : refused):

                  cancel           replace
  PENDING_NEW     PENDING_CANCEL   PENDING_REPLACE
  NEW             PENDING_CANCEL   PENDING_REPLACE
  PARTIALLY_F.    PENDING_CANCEL   PENDING_REPLACE
  PENDING_REPLACE PENDING_CANCEL   -
  PENDING_CANCEL  -                -
  ended           -                -
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core.records import ExecType, OrdStatus
from shared_mem.jit import jit

ILLEGAL: Final = 0

_S: Final = OrdStatus
_E: Final = ExecType

# PARTIALLY_FILLED stands for "by quantity"; of a FILLED order's undone trade the report is asked too.
TRANSITIONS: Final[dict[OrdStatus, dict[ExecType, OrdStatus]]] = {
    _S.PENDING_NEW: {
        _E.NEW: _S.NEW,
        _E.TRADE: _S.PARTIALLY_FILLED,
        _E.CANCELED: _S.CANCELED,
        _E.REJECTED: _S.REJECTED,
        _E.EXPIRED: _S.EXPIRED,
        _E.REPLACED: _S.NEW,
        _E.TRADE_CANCEL: _S.PARTIALLY_FILLED,
        _E.TRADE_CORRECT: _S.PARTIALLY_FILLED,
    },
    _S.NEW: {
        _E.TRADE: _S.PARTIALLY_FILLED,
        _E.CANCELED: _S.CANCELED,
        _E.REJECTED: _S.REJECTED,
        _E.EXPIRED: _S.EXPIRED,
        _E.REPLACED: _S.NEW,
        _E.TRADE_CANCEL: _S.PARTIALLY_FILLED,
        _E.TRADE_CORRECT: _S.PARTIALLY_FILLED,
    },
    _S.PARTIALLY_FILLED: {
        _E.TRADE: _S.PARTIALLY_FILLED,
        _E.CANCELED: _S.CANCELED,
        _E.EXPIRED: _S.EXPIRED,
        _E.REPLACED: _S.PARTIALLY_FILLED,
        _E.TRADE_CANCEL: _S.PARTIALLY_FILLED,
        _E.TRADE_CORRECT: _S.PARTIALLY_FILLED,
    },
    _S.FILLED: {
        _E.TRADE: _S.FILLED,
        _E.REPLACED: _S.PARTIALLY_FILLED,
        _E.TRADE_CANCEL: _S.PARTIALLY_FILLED,
        _E.TRADE_CORRECT: _S.PARTIALLY_FILLED,
    },
    _S.CANCELED: {_E.TRADE: _S.CANCELED, _E.TRADE_CANCEL: _S.CANCELED, _E.TRADE_CORRECT: _S.CANCELED},
    _S.REJECTED: {_E.TRADE: _S.REJECTED, _E.TRADE_CANCEL: _S.REJECTED, _E.TRADE_CORRECT: _S.REJECTED},
    _S.EXPIRED: {_E.TRADE: _S.EXPIRED, _E.TRADE_CANCEL: _S.EXPIRED, _E.TRADE_CORRECT: _S.EXPIRED},
}

TERMINAL: Final = frozenset({_S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED})

# OrdStatus of a report that says that its order is open.
OPEN_WORDS: Final = frozenset(
    {_S.PENDING_NEW, _S.NEW, _S.PARTIALLY_FILLED, _S.PENDING_CANCEL, _S.PENDING_REPLACE}
)


def _dense() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    table = np.full((128, 128), ILLEGAL, np.uint8)
    for status, row in TRANSITIONS.items():
        for exec_type, after in row.items():
            table[status, exec_type] = after
    table.flags.writeable = False
    return table


def _undone() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """What a FILLED order with less than its quantity is, by the report's OrdStatus."""
    table = np.full(128, _S.CANCELED, np.uint8)
    for word in OPEN_WORDS:
        table[word] = _S.PARTIALLY_FILLED
    table[_S.EXPIRED], table[_S.FILLED] = _S.EXPIRED, _S.FILLED
    table.flags.writeable = False
    return table


_NEXT: Final = _dense()
_UNDONE: Final = _undone()
_NEW: Final = int(_S.NEW)
_FILLED: Final = int(_S.FILLED)
_CANCELED: Final = int(_S.CANCELED)
_REJECTED: Final = int(_S.REJECTED)
_EXPIRED: Final = int(_S.EXPIRED)
_PARTIALLY: Final = int(_S.PARTIALLY_FILLED)
_PENDING_CANCEL: Final = int(_S.PENDING_CANCEL)
_PENDING_REPLACE: Final = int(_S.PENDING_REPLACE)


@jit
def status_after(status: int, exec_type: int, cum_qty_e8: int, qty_e8: int) -> int:
    """The status after a report, by the table; ILLEGAL where it has none. cum_qty counts the report's fill."""
    if status > 127 or exec_type > 127:
        return ILLEGAL  # no code of FIX; masked, it would be another's
    after = int(_NEXT[status & 127, exec_type & 127])
    if after == _PARTIALLY and cum_qty_e8 >= qty_e8:
        return _FILLED
    return after


@jit
def status_after_undo(status: int, exec_type: int, told: int, cum_qty_e8: int, qty_e8: int) -> int:
    """The same for TRADE_CANCEL and TRADE_CORRECT. told: the report's OrdStatus; cum_qty: what is left of it."""
    after = status_after(status, exec_type, cum_qty_e8, qty_e8)
    if after != _PARTIALLY:
        return after
    if status == _FILLED:
        after = int(_UNDONE[told & 127]) if told < 128 else _CANCELED
    return _NEW if after == _PARTIALLY and cum_qty_e8 == 0 else after


@jit
def is_open_word(status: int) -> bool:
    """Whether a report with this OrdStatus says that its order is open."""
    return status < 128 and _UNDONE[status & 127] == _PARTIALLY


@jit
def is_terminal(status: int) -> bool:
    return status == _FILLED or status == _CANCELED or status == _REJECTED or status == _EXPIRED


@jit
def shown_status(status: int, cancels: bool, replaces: bool) -> int:
    """What the owner sees: a request that is pending stands before the status (FIX 4.4 vol. 4, OrdStatus (39),
    precedence), a cancel before a replace. `replaces` is false once the order has ended."""
    if replaces:
        return _PENDING_CANCEL if cancels else _PENDING_REPLACE
    return _PENDING_CANCEL if cancels and not is_terminal(status) else status


@jit
def may_cancel(shown: int) -> bool:
    """By the second table."""
    return not is_terminal(shown) and shown != _PENDING_CANCEL


@jit
def may_replace(shown: int) -> bool:
    """By the second table."""
    return may_cancel(shown) and shown != _PENDING_REPLACE
