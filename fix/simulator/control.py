"""The operator of the market: phases, busts and corrections, asked for over a FIX session of its own.

Whoever logs on as OPERATOR is the operator; a member who asks for the same is refused.
"""

from __future__ import annotations

from typing import Final

from fix.codec import Message
from fix.simulator.exchange import Exchange
from fix.simulator.orders import Answer, TradeAck
from fix.simulator.requests import Refused, phase_of, trade_of
from fix.simulator.trades import NoSuchTrade
from fix.simulator.words import ExecType
from fix.tags import MsgType

OPERATOR: Final = "OPERATOR"
OPERATOR_TYPES: Final = (MsgType.SecurityStatus, MsgType.TradeCaptureReport)


def operate(exchange: Exchange, message: Message, owner: str, now_ns: int) -> list[Answer]:
    """The answers to an operator's message, the operator's own last. Raises MissingTag or Refused."""
    if owner != OPERATOR:
        raise Refused(f"MsgType (35) {message.type} is the operator's; log on as {OPERATOR} to send it")
    if message.type == MsgType.SecurityStatus:
        return _set_phase(exchange, message, owner, now_ns)
    return _undo_trade(exchange, message, owner, now_ns)


def _set_phase(exchange: Exchange, message: Message, owner: str, now_ns: int) -> list[Answer]:
    request_id, symbol, phase = phase_of(message)
    if exchange.status(owner, request_id, symbol, now_ns) is None:
        raise Refused(f"symbol {symbol} is not traded here")
    answers = exchange.set_phase(symbol, phase, now_ns)
    status = exchange.status(owner, request_id, symbol, now_ns)
    assert status is not None
    return [*answers, status]


def _undo_trade(exchange: Exchange, message: Message, owner: str, now_ns: int) -> list[Answer]:
    request_id, exec_id, symbol, qty_e8, px_e8 = trade_of(message)
    kind = ExecType.TRADE_CORRECT if qty_e8 else ExecType.TRADE_CANCEL
    why = f"trade {exec_id}, by the market's operator"
    try:
        if qty_e8:
            answers: list[Answer] = [*exchange.trades.correct(exec_id, qty_e8, px_e8, now_ns, why)]
        else:
            answers = [*exchange.trades.bust(exec_id, now_ns, why)]
    except NoSuchTrade as error:
        return [TradeAck(owner, request_id, kind, exec_id, symbol, str(error), now_ns)]
    return [*answers, TradeAck(owner, request_id, kind, exec_id, symbol, "", now_ns)]
