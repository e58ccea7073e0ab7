"""The life of an order, as one table.

Theory of operation. An order is PENDING_NEW from the moment its reservation stands until its venue answers.
The venue's reports move it; a client's cancel only asks, and is a mark beside the status (`cancel pending`), so
that a fill which crosses the cancel on the wire changes nothing else. Four statuses end it: FILLED, CANCELED,
REJECTED, EXPIRED; what is reserved for it is then zero. Money that moved has moved: a TRADE is booked in every
status, also after the end (a fill that crossed our cancel, FIX 4.4 vol. 4 appendix D, case D.7), but it never
reopens an order.

                 NEW        TRADE                     CANCELED   REJECTED   EXPIRED
  PENDING_NEW    NEW        PARTIALLY_FILLED/FILLED   CANCELED   REJECTED   EXPIRED
  NEW            -          PARTIALLY_FILLED/FILLED   CANCELED   REJECTED   EXPIRED
  PARTIALLY_F.   -          PARTIALLY_FILLED/FILLED   CANCELED   -          EXPIRED
  FILLED         -          FILLED (overfill)         -          -          -
  CANCELED       -          CANCELED                  -          -          -
  REJECTED       -          REJECTED                  -          -          -
  EXPIRED        -          EXPIRED                   -          -          -

'-' : the report does not belong to the status; it is recorded as REPORT_UNEXPECTED and changes nothing.
TRADE asks the quantity whether the order is FILLED: see `status_after`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core.records import ExecType, OrdStatus
from shared_mem.jit import jit

ILLEGAL: Final = 0

_S: Final = OrdStatus
_E: Final = ExecType

TRANSITIONS: Final[dict[OrdStatus, dict[ExecType, OrdStatus]]] = {
    _S.PENDING_NEW: {
        _E.NEW: _S.NEW,
        _E.TRADE: _S.PARTIALLY_FILLED,
        _E.CANCELED: _S.CANCELED,
        _E.REJECTED: _S.REJECTED,
        _E.EXPIRED: _S.EXPIRED,
    },
    _S.NEW: {
        _E.TRADE: _S.PARTIALLY_FILLED,
        _E.CANCELED: _S.CANCELED,
        _E.REJECTED: _S.REJECTED,
        _E.EXPIRED: _S.EXPIRED,
    },
    _S.PARTIALLY_FILLED: {_E.TRADE: _S.PARTIALLY_FILLED, _E.CANCELED: _S.CANCELED, _E.EXPIRED: _S.EXPIRED},
    _S.FILLED: {_E.TRADE: _S.FILLED},
    _S.CANCELED: {_E.TRADE: _S.CANCELED},
    _S.REJECTED: {_E.TRADE: _S.REJECTED},
    _S.EXPIRED: {_E.TRADE: _S.EXPIRED},
}

TERMINAL: Final = frozenset({_S.FILLED, _S.CANCELED, _S.REJECTED, _S.EXPIRED})


def _dense() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    table = np.full((128, 128), ILLEGAL, np.uint8)
    for status, row in TRANSITIONS.items():
        for exec_type, after in row.items():
            table[status, exec_type] = after
    table.flags.writeable = False
    return table


_NEXT: Final = _dense()
_FILLED: Final = int(_S.FILLED)
_CANCELED: Final = int(_S.CANCELED)
_REJECTED: Final = int(_S.REJECTED)
_EXPIRED: Final = int(_S.EXPIRED)
_PARTIALLY: Final = int(_S.PARTIALLY_FILLED)


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
def is_terminal(status: int) -> bool:
    return status == _FILLED or status == _CANCELED or status == _REJECTED or status == _EXPIRED
