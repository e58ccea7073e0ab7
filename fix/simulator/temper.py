"""An ill temper: what venues do on their bad days, by a seeded plan, for tests of whoever is on the other end.

Two kinds. What the exchange tells: an order canceled though nobody asked, a fill that comes after the cancel,
reports told twice (with and without PossResend) or in another order. These are stored and resent like all
else; the exchange's books stay right. And what the wire does (`fix/simulator/ill_wire.py`): messages late,
twice, in another order, garbled. The session layer recovers from these.

Always holds: the same seed and the same messages give the same mischief. Off unless a Temper is given.
"""

from __future__ import annotations

from enum import Enum, auto
from random import Random
from typing import Final, NamedTuple

from core.units import QTY_SCALE
from fix.simulator.exchange import Exchange
from fix.simulator.orders import Answer, Report
from fix.simulator.words import ExecType, OrdType

# In a hundred, so that a test of some hundred messages sees all of it and still gets somewhere.
UNSOLICITED_CANCELS: Final = 3  # of new orders that are still open
FILLS_AFTER_CANCEL: Final = 20  # of cancels that left something
TOLD_TWICE: Final = 4
TOLD_OUT_OF_ORDER: Final = 4


class Telling(NamedTuple):
    """An answer to be sent. `is_again`: with PossResend (97=Y)."""

    answer: Answer
    is_again: bool


class Temper:
    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)

    def _does(self, in_a_hundred: int) -> bool:
        return self._rng.random() * 100 < in_a_hundred

    def unasked(self, exchange: Exchange, answers: list[Answer], now_ns: int) -> list[Answer]:
        """What the exchange does of its own accord after these answers."""
        more: list[Answer] = []
        for answer in answers:
            if not isinstance(answer, Report):
                continue
            order = exchange.registry.open_order(answer.owner, answer.order_id)
            is_open_new = answer.exec_type is ExecType.NEW and order is not None
            if is_open_new and self._does(UNSOLICITED_CANCELS):
                assert order is not None
                more.append(exchange.floor.end(order, ExecType.CANCELED, now_ns, text="unsolicited"))
        for answer in [*answers, *more]:
            if isinstance(answer, Report) and _has_rest(answer) and self._does(FILLS_AFTER_CANCEL):
                lots = (answer.qty_e8 - answer.cum_qty_e8) // QTY_SCALE
                qty_e8 = self._rng.randint(1, lots) * QTY_SCALE
                more += exchange.fill_after_cancel(answer, qty_e8, now_ns)
        return more

    def telling(self, answers: list[Answer]) -> list[Telling]:
        """How the answers are told."""
        told = [Telling(answer, False) for answer in answers]
        for at in range(1, len(told)):
            if isinstance(answers[at], Report) and self._does(TOLD_OUT_OF_ORDER):
                told[at - 1], told[at] = told[at], told[at - 1]
        found: list[Telling] = []
        for each in told:
            found.append(each)
            if isinstance(each.answer, Report) and self._does(TOLD_TWICE):
                found.append(Telling(each.answer, self._does(50)))
        return found


def _has_rest(report: Report) -> bool:
    """Whether a canceled limit order had whole units left."""
    return (
        report.exec_type is ExecType.CANCELED
        and report.ord_type is OrdType.LIMIT
        and report.qty_e8 - report.cum_qty_e8 >= QTY_SCALE
    )


class Mischief(Enum):
    NONE = auto()
    LATE = auto()
    TWICE = auto()
    OUT_OF_ORDER = auto()
    GARBLED = auto()


# In a thousand messages. A message twice under one number costs the session its connection, so it is rare.
_ON_THE_WIRE: Final = (
    (Mischief.LATE, 30),
    (Mischief.OUT_OF_ORDER, 15),
    (Mischief.GARBLED, 15),
    (Mischief.TWICE, 3),
)


class WireTemper:
    """What happens to each message that leaves."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)

    def next(self) -> Mischief:
        draw = self._rng.random() * 1000
        for mischief, in_a_thousand in _ON_THE_WIRE:
            if draw < in_a_thousand:
                return mischief
            draw -= in_a_thousand
        return Mischief.NONE

    def delay_s(self) -> float:
        """How late a late message is: up to a quarter of a second."""
        return self._rng.random() / 4

    def garble(self, frame: bytes) -> bytes:
        """The message with one byte of its body changed, so that its CheckSum is wrong."""
        at = self._rng.randrange(len(frame) // 2, len(frame) - len(b"10=000\x01"))
        changed = frame[at] ^ 0x02
        return frame[:at] + bytes((changed,)) + frame[at + 1 :]
