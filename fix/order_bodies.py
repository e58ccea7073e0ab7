"""What an order and a cancel look like at one venue: by its version's dictionary, and what the venue wants besides.

    bodies = OrderBodies(load("FIX.4.2"), order_fields=((47, "A"),), time_digits=3)
    bodies.message(MsgType.NewOrderSingle, [(Tag.ClOrdID, "TW000-7"), ...])

The router names everything that any version wants; a field that the venue's version does not have in this type of
message is left out here. What that version requires and nobody names is found when the bodies are made, before the
first order is sent.

Always holds here: the fields keep their order; what the venue wants besides comes last, and is never left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fix import timestamps
from fix.codec import Field
from fix.dictionary import Dictionary
from fix.durable import Outgoing
from fix.profiles.profile import ProfileError
from fix.tags import MsgType, Tag

_ORDER: Final = frozenset(
    (
        Tag.Account,
        Tag.ClOrdID,
        Tag.HandlInst,
        Tag.OrderQty,
        Tag.OrdType,
        Tag.Price,
        Tag.Side,
        Tag.Symbol,
        Tag.TimeInForce,
        Tag.TransactTime,
    )
)
# What the router (`fix/order_router.py`) says of an order, a replace, a cancel and a question about an order.
WRITTEN: Final = {
    MsgType.NewOrderSingle: _ORDER,
    MsgType.OrderCancelReplaceRequest: _ORDER | {Tag.OrigClOrdID},
    MsgType.OrderStatusRequest: frozenset((Tag.ClOrdID, Tag.Side, Tag.Symbol)),
    MsgType.OrderMassStatusRequest: frozenset((Tag.MassStatusReqID, Tag.MassStatusReqType)),
    MsgType.OrderCancelRequest: frozenset(
        (Tag.ClOrdID, Tag.OrderQty, Tag.OrigClOrdID, Tag.Side, Tag.Symbol, Tag.TransactTime)
    ),
}
# Their reports do not say what happened to an order in ExecType (150), or at all.
_TOO_OLD: Final = ("FIX.4.0", "FIX.4.1")


class OrderBodies:
    """`order_fields` stand in every new order and replace. `time_digits`: of the fraction of a second in TransactTime
    (60). Raises ProfileError for a version in which the router can't write orders."""

    def __init__(
        self, dictionary: Dictionary, order_fields: Sequence[Field] = (), time_digits: int = 3
    ) -> None:
        if dictionary.version in _TOO_OLD:
            raise ProfileError(f"orders can't be sent in {dictionary.version}; use FIX.4.2 or later")
        self._time_digits = time_digits
        terms = (MsgType.NewOrderSingle, MsgType.OrderCancelReplaceRequest)
        self._more = dict.fromkeys(terms, tuple(order_fields))
        self._known: dict[str, frozenset[int]] = {}
        for msg_type, spec in dictionary.messages.items():
            self._known[msg_type] = spec.body.tags
        for msg_type, written in WRITTEN.items():
            if msg_type not in dictionary.messages:
                continue  # FIX 4.2 has no OrderMassStatusRequest; a profile of it does not ask for one
            body = dictionary.messages[msg_type].body
            lacking = set(body.required) - written - {tag for tag, _ in self._more.get(msg_type, ())}
            if lacking:
                raise ProfileError(
                    f"{dictionary.version} requires {sorted(lacking)} in messages of type {msg_type}, and nobody "
                    "gives them; name them under [extra] order"
                )

    def time_text(self, ns: int) -> str:
        """TransactTime (60) of `ns` since 1970."""
        return timestamps.format_ns(ns, self._time_digits)

    def message(self, msg_type: MsgType, fields: Sequence[tuple[int, str]]) -> Outgoing:
        """The message with those of `fields` that this version has in it."""
        known = self._known[msg_type]
        return msg_type, [
            *(field for field in fields if field[0] in known),
            *self._more.get(msg_type, ()),
        ]
