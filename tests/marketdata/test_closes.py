from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import pytest

from marketdata import closes


def test_twenty_shares_have_a_close_on_every_day() -> None:
    everything = closes.read()
    assert len(everything.prices_e8) == 20
    assert (everything.dates[0], everything.dates[-1]) == (date(1990, 1, 2), date(2022, 12, 28))
    assert list(everything.dates) == sorted(set(everything.dates))
    assert all(len(prices) == len(everything.dates) for prices in everything.prices_e8.values())
    assert all(price > 0 for prices in everything.prices_e8.values() for price in prices)


def test_a_close_is_the_exact_decimal_of_the_file() -> None:
    last = closes.read(1)
    assert last.dates == (date(2022, 12, 28),)
    assert last.prices_e8["AAPL"] == (125_674 * 10**5,)
    assert last.prices_e8["XOM"] == (106_627 * 10**5,)


def test_the_last_days_are_the_end_of_all_days() -> None:
    everything, last = closes.read(), closes.read(30)
    assert last.dates == everything.dates[-30:]
    assert all(last.prices_e8[symbol] == everything.prices_e8[symbol][-30:] for symbol in closes.symbols())


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closes, "PACKAGE", "no_such_package")
    with pytest.raises(closes.ClosesMissing, match=r"no_such_package.*install"):
        closes.file_path()


@pytest.mark.parametrize(
    "content",
    ["", "Day,AAPL\n", "Date,AAPL\n2022-12-28,many\n", "Date,AAPL\n2022-12-28\n", "Date,AAPL\nsoon,1\n"],
)
def test_another_file_in_its_place_is_an_error_and_not_prices(tmp_path: Path, content: str) -> None:
    path = tmp_path / "closes.csv.gz"
    path.write_bytes(gzip.compress(content.encode()))
    with pytest.raises(closes.ClosesMissing, match="reinstall"):
        closes.read(path=path)
