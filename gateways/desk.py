"""The desk behind the doors: commands to the shard, its answers back, and its state to look at.

Always holds here: an order is pushed once, after everything about its form was checked; what the client hears
is what the log says. Cancels have a lane of their own, so that no flood of orders delays one.
Must not do: decide about risk. That is the shard's, and the shard's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from actors.view import AccountView, InstrumentView, OrderView, StateView
from core import commands, ids
from core.events import Event, reject_message
from core.records import ExecType, OrdStatus, Source
from core.rejects import Reject
from gateways.answers import ANSWER_TIMEOUT_S, Answers
from gateways.errors import NOT_FOUND, UNAVAILABLE, UNPROCESSABLE, ApiError, RejectedError
from gateways.order_request import OrderRequest, ReplaceRequest
from gateways.order_shape import Order, OrderTimes, order_shape
from shared_mem.ring import Ring

RETRY_AFTER_S: Final = 1


class Desk:
    """One shard as this process reaches it: its state to look at, and our two lanes to it.

    `source` is the one line that says where its prices come from, `names` what its symbols stand for. `refusal`: why
    no order is taken now, "" while they are (gateways/standby_watch.py)."""

    def __init__(
        self,
        *,
        shard: int,
        view: StateView,
        orders: Ring,
        cancels: Ring,
        answers: Answers,
        source: str,
        names: Mapping[str, str],
        refusal: Callable[[], str] = lambda: "",
    ) -> None:
        self.shard = shard
        self.view = view
        self.answers = answers
        self.source = source
        self.names = names
        self._refusal = refusal
        self._orders = orders
        self._cancels = cancels
        # Both are bounded by the instruments; neither a number nor a symbol ever changes.
        self._numbers: dict[str, int] = {}
        self._symbols: dict[int, str] = {}

    # --- to the shard ---------------------------------------------------------------------------------------

    async def submit(self, account: int, request: OrderRequest) -> Event:
        """The shard's acceptance. Raises RejectedError for its reject, ApiError when it can't be asked."""
        self._refuse_if_closed()
        instrument = self._instrument_number(request.symbol)
        request_id, future = self.answers.expect()
        command = commands.new_order(
            source=Source.GATEWAY,
            request_id=request_id,
            account=account,
            instrument=instrument,
            side=request.side,
            ord_type=request.ord_type,
            tif=request.tif,
            qty_e8=request.qty_e8,
            price_e8=request.price_e8,
            client_order_id=request.client_order_id,
        )
        self._push(self._orders, command, request_id)
        unknown = (
            f"outcome unknown: no answer within {ANSWER_TIMEOUT_S:g} s; before sending again, ask "
            f"GET /v2/orders:by_client_order_id?client_order_id={request.client_order_id}"
        )
        event = await self.answers.wait(request_id, future, unknown)
        if event.exec_type == ExecType.REJECTED:
            raise RejectedError(event)
        return event

    async def cancel(self, account: int, order_id: int) -> Event:
        """The shard's acceptance of the cancel. Raises RejectedError: 404 not the account's, 422 not open."""
        request_id, future = self.answers.expect()
        command = commands.cancel(
            source=Source.GATEWAY, request_id=request_id, account=account, order_id=order_id
        )
        self._push(self._cancels, command, request_id)
        uuid = ids.order_uuid(self.shard, order_id)
        unknown = f"outcome unknown: no answer within {ANSWER_TIMEOUT_S:g} s; ask GET /v2/orders/{uuid}"
        event = await self.answers.wait(request_id, future, unknown)
        if event.exec_type == ExecType.CANCEL_REJECT:
            raise RejectedError(event)
        return event

    async def replace(self, account: int, order: OrderView, request: ReplaceRequest) -> Event:
        """The shard's acceptance of other terms: asked of the venue, held for, not yet in force. Raises RejectedError
        for its reject. In the orders' lane: it may ask for more than there was."""
        self._refuse_if_closed()
        request_id, future = self.answers.expect()
        command = commands.replace(
            source=Source.GATEWAY,
            request_id=request_id,
            account=account,
            instrument=order.instrument,
            order_id=order.order_id,
            client_order_id=request.client_order_id,
            qty_e8=request.qty_e8,
            price_e8=request.price_e8,
            tif=request.tif,
        )
        self._push(self._orders, command, request_id)
        uuid = ids.order_uuid(self.shard, order.order_id)
        unknown = f"outcome unknown: no answer within {ANSWER_TIMEOUT_S:g} s; ask GET /v2/orders/{uuid}"
        event = await self.answers.wait(request_id, future, unknown)
        if event.exec_type == ExecType.REPLACE_REJECT:
            raise RejectedError(event)
        return event

    def _refuse_if_closed(self) -> None:
        if refusal := self._refusal():
            raise ApiError(
                UNAVAILABLE, f"{refusal}; nothing was sent: try again", retry_after_s=RETRY_AFTER_S
            )

    def _push(self, lane: Ring, command: bytes, request_id: int) -> None:
        if not lane.try_push(command):
            self.answers.forget(request_id)
            raise ApiError(
                UNAVAILABLE,
                f"the desk is full: {lane.capacity} requests wait for the shard; nothing was sent: try again",
                retry_after_s=RETRY_AFTER_S,
            )

    # --- from its state -------------------------------------------------------------------------------------

    def account(self, number: int) -> AccountView:
        account = self.view.account(number)
        if account is None:
            raise ApiError(NOT_FOUND, f"account {number} is not known here")
        return account

    def instrument(self, symbol: str) -> InstrumentView:
        instrument = self.view.instrument_by_symbol(symbol) if symbol.isascii() else None
        if instrument is None:
            raise ApiError(
                UNPROCESSABLE, f"symbol '{symbol[:40]}' is not traded here; GET /v2/assets lists what is"
            )
        return instrument

    def _instrument_number(self, symbol: str) -> int:
        number = self._numbers.get(symbol)
        if number is None:
            number = self._numbers[symbol] = self.instrument(symbol).instrument
        return number

    def instrument_by(self, symbol_or_id: str) -> InstrumentView:
        """By symbol or by our UUID. Raises ApiError (404)."""
        instrument = self.view.instrument_by_symbol(symbol_or_id) if symbol_or_id.isascii() else None
        if instrument is None:
            number = self._number(symbol_or_id)
            instrument = self.view.instrument(number) if number else None
        if instrument is None:
            raise ApiError(
                NOT_FOUND, f"asset '{symbol_or_id[:40]}' is not known here; GET /v2/assets lists what is"
            )
        return instrument

    def order(self, account: int, order_id: str) -> OrderView:
        """One of the account's own orders. Anybody else's is as unknown as one that never was: ApiError
        (404)."""
        number = self._number(order_id)
        order = self.view.order(number) if number else None
        if order is None or order.account != account:
            raise ApiError(
                NOT_FOUND, f"order '{order_id[:40]}' is not known here; GET /v2/orders lists yours"
            )
        return order

    def _number(self, uuid: str) -> int:
        try:
            return ids.number_of(uuid, self.shard)
        except ids.IdError:
            return 0

    # --- in Alpaca's words ----------------------------------------------------------------------------------

    def symbol(self, instrument: int) -> str:
        """'' for a number that no instrument has (an order that was rejected for it)."""
        symbol = self._symbols.get(instrument)
        if symbol is None:
            known = self.view.instrument(instrument)
            if known is None:
                return ""
            symbol = self._symbols[instrument] = known.symbol
        return symbol

    def show_order(self, order: OrderView) -> Order:
        times = OrderTimes(order.created_ns, order.updated_ns, order.filled_ns, order.canceled_ns)
        return order_shape(
            self.shard,
            self.symbol(order.instrument),
            order.client_order_id,
            order,
            times,
            reject_reason(order),
            order.fate,
        )

    def show_event(self, event: Event) -> Order:
        """The order as it stood right after the event, whatever happened to it since."""
        known = self.view.order(event.order_id)
        created_ns = event.time_ns if known is None else known.created_ns
        filled = event.time_ns if event.ord_status == OrdStatus.FILLED else 0
        ended = event.time_ns if event.ord_status == OrdStatus.CANCELED else 0
        times = OrderTimes(created_ns, event.time_ns, filled, ended)
        return order_shape(
            self.shard,
            self.symbol(event.instrument),
            event.text,
            event,
            times,
            reject_reason(event),
            event.state,
        )


def reject_reason(state: OrderView | Event) -> str | None:
    """Why the order was rejected, in words; None when it was not."""
    if state.ord_status != OrdStatus.REJECTED or state.reject_code == Reject.NONE:
        return None
    if isinstance(
        state, OrderView
    ):  # an order with a row passed our checks: its venue refused it, by no limit of ours
        return reject_message(state.reject_code, 0, 0)
    return reject_message(state.reject_code, state.limit_value, state.observed_value)
