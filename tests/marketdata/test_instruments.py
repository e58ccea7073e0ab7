from __future__ import annotations

from pathlib import Path

import pytest

from core.units import price_e8, qty_e8
from marketdata import closes, instruments
from marketdata.bridge import SOURCE_LABEL
from marketdata.instruments import InstrumentUnknown, definitions
from marketdata.recorded import RECORDING_LABEL
from marketdata.replay import QUOTE_REFRESH_NS


def test_the_default_replay_has_the_twenty_shares_with_their_names() -> None:
    defined = definitions(None)
    assert [d.symbol for d in defined] == list(closes.symbols())
    assert all(d.name != d.symbol and d.label == SOURCE_LABEL for d in defined)
    assert {(d.tick_e8, d.lot_e8) for d in defined} == {(price_e8("0.01"), qty_e8(1))}


def test_a_recording_defines_its_future_with_the_exchange_s_tick(es_recording: Path) -> None:
    (future,) = definitions(es_recording)
    assert (future.symbol, future.name) == ("ESH4", "E-mini S&P 500 Mar 2024")
    assert (future.tick_e8, future.lot_e8) == (price_e8("0.25"), qty_e8(1))
    assert future.label == RECORDING_LABEL


def test_a_quote_outlives_several_refreshes() -> None:
    assert all(d.quote_age_ms_max * 10**6 >= 3 * QUOTE_REFRESH_NS for d in definitions(None))


def test_a_product_whose_tick_is_not_known_is_refused(
    es_recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instruments, "FUTURES", {"NQ": instruments.FUTURES["NQ"]})
    with pytest.raises(InstrumentUnknown, match=r"ESH4.*FUTURES"):
        definitions(es_recording)
