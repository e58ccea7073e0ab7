"""The words of FIX 4.4 that the exchange speaks and the platform's records don't: more types of orders, of
time in force and of reports, and the phases of trading. Values are FIX's own characters.

Side and OrdStatus are those of `core/records.py`. FIX 4.4 has no ExecType for a stop order that is triggered
("L" came with 5.0): it is told as RESTATED, with the reason in the text.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final


class OrdType(IntEnum):
    """OrdType (40)."""

    MARKET = ord("1")
    LIMIT = ord("2")
    STOP = ord("3")
    STOP_LIMIT = ord("4")


class TimeInForce(IntEnum):
    """TimeInForce (59)."""

    DAY = ord("0")
    GTC = ord("1")
    IOC = ord("3")
    FOK = ord("4")


class ExecType(IntEnum):
    """ExecType (150)."""

    NEW = ord("0")
    CANCELED = ord("4")
    REPLACED = ord("5")
    REJECTED = ord("8")
    EXPIRED = ord("C")
    RESTATED = ord("D")
    TRADE = ord("F")
    TRADE_CORRECT = ord("G")
    TRADE_CANCEL = ord("H")


class Phase(IntEnum):
    """SecurityTradingStatus (326): what is done with the orders of one instrument.

    CONTINUOUS: orders trade as they come. CALL: orders are collected, and trade at one price when it ends.
    HALTED: as CALL, but nothing is promised about its end. SUSPENDED: no new orders. CLOSED: the day is over:
    no new orders, and day orders expire. Cancels are taken in every phase.
    """

    HALTED = 2
    SUSPENDED = 4
    CONTINUOUS = 17
    CLOSED = 18
    CALL = 21


# Types with a limit of their own, and those that wait for a price.
LIMITED: Final = frozenset((OrdType.LIMIT, OrdType.STOP_LIMIT))
STOPS: Final = frozenset((OrdType.STOP, OrdType.STOP_LIMIT))
# What must trade at once or be gone.
IMMEDIATE: Final = frozenset((TimeInForce.IOC, TimeInForce.FOK))
# Phases in which new orders are taken.
TAKING: Final = frozenset((Phase.CONTINUOUS, Phase.CALL, Phase.HALTED))


class Fault(StrEnum):
    """What the drop copy can be told to say wrong (`fix/simulator/copy_faults.py`).

    MISSING: a trade is not copied. INVENTED: one more of the same order. STRANGER: one of an order that nobody
    sent. The others: what the copy says is not what the member was told."""

    MISSING = "missing"
    INVENTED = "invented"
    STRANGER = "stranger"
    ORDER = "order"
    SIDE = "side"
    SYMBOL = "symbol"
    QUANTITY = "quantity"
    PRICE = "price"
