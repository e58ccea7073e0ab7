"""Sessions, static prices, tick and lot tables, and exposure: what an instrument takes, and when."""

from __future__ import annotations

import pytest

from core import commands
from core.events import Event
from core.records import InstrumentState, OrdType, TimeInForce
from core.rejects import Reject
from core.units import cash_e6, price_e8, qty_e8
from tests.actors.desk import ASK_E8, BID_E8, Desk, account, deposit, instrument

MARKET = {"ord_type": OrdType.MARKET, "price_e8": 0}
# The first ranges of RTS 11's most liquid column, and a few more than one command holds.
BANDS = [("0", "0.0001"), ("1", "0.0005"), ("5", "0.001"), ("20", "0.005"), ("50", "0.01"), ("100", "0.02")]


def session(desk: Desk, state: InstrumentState) -> None:
    event = desk.do(commands.set_instrument_state(request_id=1, instrument=1, state=state))
    assert (event.state, event.text) == (state, "ACME")


def static(desk: Desk, close: str = "0", reference: str = "0") -> Event:
    return desk.do(
        commands.set_reference_price(
            request_id=1, instrument=1, previous_close_e8=price_e8(close), reference_e8=price_e8(reference)
        )
    )


def tick_table(desk: Desk, bands: list[tuple[str, str]], table: int = 1) -> list[int]:
    made = commands.define_tick_table(
        request_id=1, table=table, bands=[(price_e8(start), price_e8(tick)) for start, tick in bands]
    )
    return [desk.do(raw).reject_code for raw in made]


def test_each_session_takes_its_orders(a_funded_account: Desk) -> None:
    desk = a_funded_account
    static(desk, "100")
    taken: dict[InstrumentState, list[int]] = {}
    for state in InstrumentState:
        session(desk, state)
        taken[state] = [
            desk.buy(1).reject_code,
            desk.buy(1, **MARKET).reject_code,
            desk.buy(1, tif=TimeInForce.IOC).reject_code,
        ]
    wrong_here = Reject.NOT_IN_THIS_SESSION
    assert taken == {
        InstrumentState.OPEN: [0, 0, 0],
        InstrumentState.HALTED: [Reject.INSTRUMENT_HALTED] * 3,
        InstrumentState.PRE_OPEN: [0, wrong_here, wrong_here],
        InstrumentState.AUCTION: [0, 0, wrong_here],
        InstrumentState.CLOSED: [Reject.SESSION_CLOSED] * 3,
    }


def test_before_the_opening_the_band_stands_for_the_collar(a_funded_account: Desk) -> None:
    """No quote is needed, and none is looked at: only the static price."""
    desk = a_funded_account
    session(desk, InstrumentState.PRE_OPEN)
    desk.bid_e8 = desk.ask_e8 = 0
    assert desk.buy(1).reject_code == Reject.NO_REFERENCE_PRICE
    static(desk, "100")
    desk.do(instrument(band_bps=100))
    assert desk.buy(1, price_e8=price_e8("101")).reject_code == 0
    over = desk.buy(1, price_e8=price_e8("101.01"))
    assert (over.reject_code, over.limit_value) == (Reject.PRICE_OUTSIDE_BAND, price_e8("101"))
    under = desk.buy(1, price_e8=price_e8("98.99"))
    assert (under.reject_code, under.limit_value) == (Reject.PRICE_OUTSIDE_BAND, price_e8("99"))
    session(desk, InstrumentState.AUCTION)
    assert desk.buy(1, **MARKET).route_price_e8 == price_e8("101")


def test_without_a_band_an_auction_uses_the_collars_width(a_funded_account: Desk) -> None:
    static(a_funded_account, "100")
    session(a_funded_account, InstrumentState.AUCTION)
    assert a_funded_account.buy(1, **MARKET).route_price_e8 == price_e8("105")


def test_the_reference_price_counts_before_the_previous_close(a_funded_account: Desk) -> None:
    desk = a_funded_account
    desk.do(instrument(band_bps=100))
    event = static(desk, "90", "100")
    assert (event.previous_close_e8, event.reference_e8) == (price_e8("90"), price_e8("100"))
    assert desk.buy(1).reject_code == 0
    static(desk, "90")
    refused = desk.buy(1)
    assert (refused.reject_code, refused.limit_value) == (Reject.PRICE_OUTSIDE_BAND, price_e8("90.9"))
    static(desk)
    assert desk.buy(1).reject_code == 0, "without a static price there is no band"


def test_the_band_narrows_what_a_market_order_may_pay(a_funded_account: Desk) -> None:
    desk = a_funded_account
    desk.do(instrument(band_bps=200))
    static(desk, "100")
    assert desk.buy(1, **MARKET).route_price_e8 == price_e8("102"), "the collar alone would allow 105"


def test_the_tick_depends_on_the_price(a_funded_account: Desk) -> None:
    desk = a_funded_account
    assert tick_table(desk, BANDS) == [0, 0]
    assert desk.do(instrument(tick_table=1, collar_bps=10_000)).tick_table == 1
    desk.bid_e8, desk.ask_e8 = price_e8("101"), price_e8("101")
    for price, tick in (("0.0003", "0.0001"), ("4.9995", "0.0005"), ("99.99", "0.01"), ("100", "0.02")):
        on = price_e8(price)
        assert desk.buy(1, price_e8=on).reject_code == 0
        off = desk.buy(1, price_e8=on + price_e8(tick) // 2)
        assert (off.reject_code, off.limit_value) == (Reject.PRICE_OFF_TICK, price_e8(tick))


def test_a_market_order_is_rounded_to_the_tick_of_its_bound(a_funded_account: Desk) -> None:
    desk = a_funded_account
    tick_table(desk, BANDS)
    desk.do(instrument(tick_table=1, collar_bps=3))
    desk.ask_e8 = price_e8("100.01")
    assert desk.buy(1, **MARKET).route_price_e8 == price_e8("100.04"), "the bound is 100.040003"
    desk.fill(desk.buy(1, price_e8=price_e8("100.02")).order_id, 1)
    desk.bid_e8 = price_e8("100.01")
    assert desk.sell(1, **MARKET).route_price_e8 == price_e8("99.98"), "the bound is 99.979997"


@pytest.mark.parametrize(
    ("bands", "wrong"),
    [
        ([], 1),
        ([("0", "0")], 1),
        ([("0", "0.01"), ("0", "0.02")], 2),
        ([("0", "0.01"), ("1.005", "0.005")], 2),
        ([("0", "0.01"), ("1.01", "0.02")], 2),
        ([("0.015", "0.01")], 1),
    ],
)
def test_a_tick_table_that_does_not_fit_together_is_refused(
    a_funded_account: Desk, bands: list[tuple[str, str]], wrong: int
) -> None:
    [raw] = commands.define_tick_table(
        request_id=1, table=1, bands=[(price_e8(start), price_e8(tick)) for start, tick in bands]
    )
    event = a_funded_account.do(raw)
    assert (event.reject_code, event.observed_value, event.bands) == (Reject.TICK_TABLE_WRONG, wrong, 0)
    assert a_funded_account.do(instrument(tick_table=1)).reject_code == Reject.TABLE_UNKNOWN


def test_a_tick_table_is_bounded_and_goes_on_where_it_ended(a_funded_account: Desk) -> None:
    desk = a_funded_account
    rising = [(str(n), "0.01") for n in range(21)]
    assert tick_table(desk, rising) == [0] * 5 + [Reject.TICK_TABLE_WRONG]
    assert tick_table(desk, rising[:1], table=65) == [Reject.TABLE_UNKNOWN]
    assert tick_table(desk, rising[:1], table=0) == [Reject.TABLE_UNKNOWN]
    gap = commands.define_tick_table(request_id=1, table=2, bands=[(n * 10, 10) for n in range(5)])[1]
    assert desk.do(gap).reject_code == Reject.TICK_TABLE_WRONG
    tick_table(desk, rising[:2])
    assert desk.state.tick_tables[0]["bands"] == 2, "from the first band on it is a new table"


def test_odd_lots_are_refused_where_they_are_not_taken(a_funded_account: Desk) -> None:
    desk = a_funded_account
    define = commands.define_lot_table
    assert desk.do(define(request_id=1, table=1, round_lot_e8=qty_e8(100), odd_lots=0)).qty_e8 == qty_e8(100)
    desk.do(define(request_id=1, table=2, round_lot_e8=qty_e8(100), odd_lots=1))
    assert (
        desk.do(define(request_id=1, table=3, round_lot_e8=0, odd_lots=1)).reject_code
        == Reject.LOT_TABLE_WRONG
    )
    assert desk.do(instrument(lot_table=3)).reject_code == Reject.TABLE_UNKNOWN
    desk.do(instrument(lot_table=1))
    refused = desk.buy(150)
    assert (refused.reject_code, refused.limit_value) == (Reject.ODD_LOT, qty_e8(100))
    assert desk.buy(200).reject_code == 0
    desk.do(instrument(lot_table=2))
    assert desk.buy(150).reject_code == 0


def test_the_exposure_of_all_accounts_is_limited_together(a_funded_account: Desk) -> None:
    desk = a_funded_account
    desk.do(account("TW000002"))
    desk.do(deposit(cash_e6(10_000), account=2))
    desk.do(instrument(max_exposure_qty_e8=qty_e8(30)))
    desk.fill(desk.buy(10).order_id, 10)
    assert desk.buy(10, account=2).reject_code == 0
    refused = desk.buy(11)
    assert (refused.reject_code, refused.observed_value) == (Reject.INSTRUMENT_EXPOSURE, qty_e8(31))
    assert desk.sell(10, price_e8=BID_E8).reject_code == 0
    assert desk.buy(10, price_e8=ASK_E8).reject_code == 0, "open sales give no room before they are filled"
    row = desk.state.instruments[0]
    found = [int(row[name]) for name in ("long_e8", "short_e8", "open_buy_e8", "open_sell_e8")]
    assert found == [qty_e8(10), 0, qty_e8(20), qty_e8(10)]


def test_an_overfilled_sale_is_short_exposure(a_funded_account: Desk) -> None:
    desk = a_funded_account
    desk.fill(desk.buy(10).order_id, 10)
    desk.fill(desk.sell(10).order_id, 12, BID_E8)
    row = desk.state.instruments[0]
    assert (row["long_e8"], row["short_e8"], row["open_sell_e8"]) == (0, qty_e8(2), 0)
