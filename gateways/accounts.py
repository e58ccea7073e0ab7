"""The account and what it holds, over REST."""

from __future__ import annotations

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from actors.view import InstrumentView, PositionView
from gateways.account_wire import Account, Position, account_shape, position_shape
from gateways.auth import AccountRequest
from gateways.desk import Desk
from gateways.errors import NOT_FOUND, ApiError


def _held(desk: Desk, account: int) -> list[tuple[PositionView, InstrumentView]]:
    """The positions that are not flat (a row stays after the last share is sold), by symbol."""
    found = [
        (position, instrument)
        for position in desk.view.positions(account)
        if position.qty_e8 and (instrument := desk.view.instrument(position.instrument)) is not None
    ]
    return sorted(found, key=lambda pair: pair[1].symbol)


@get("/account", tags=["account"])
async def get_account(request: AccountRequest, desk: NamedDependency[Desk]) -> Account:
    """Cash, settled and unsettled, buying power (cash less what open orders reserve) and equity at the last prices."""
    account = desk.account(request.user)
    balances = desk.view.balances(request.user)
    return account_shape(desk.shard, account, account.text, _held(desk, request.user), balances)


class Positions(Controller):
    path = "/positions"
    tags = ("positions",)

    @get()
    async def list_positions(self, request: AccountRequest, desk: NamedDependency[Desk]) -> list[Position]:
        """Every position that is not flat."""
        return [
            position_shape(desk.shard, instrument, position)
            for position, instrument in _held(desk, request.user)
        ]

    @get("/{symbol_or_asset_id:str}")
    async def one_position(
        self, request: AccountRequest, desk: NamedDependency[Desk], symbol_or_asset_id: FromPath[str]
    ) -> Position:
        instrument = desk.instrument_by(symbol_or_asset_id)
        position = desk.view.position(request.user, instrument.instrument)
        if position is None or position.qty_e8 == 0:
            raise ApiError(NOT_FOUND, f"position does not exist: the account holds no {instrument.symbol}")
        return position_shape(desk.shard, instrument, position)
