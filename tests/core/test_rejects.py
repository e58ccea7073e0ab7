"""Every reject code has a text, an HTTP status, and a message that can be made of any limit and value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.currencies import EUR, USD
from core.events import reject_message
from core.records import AccountState, OrdStatus
from core.rejects import TEXTS, Reject
from core.units import INT64_MAX

CODES = [code for code in Reject if code is not Reject.NONE]
INT64 = st.integers(-INT64_MAX - 1, INT64_MAX)


def test_every_code_has_a_text_and_no_text_is_without_a_code() -> None:
    assert set(TEXTS) == set(CODES)


@pytest.mark.parametrize("code", CODES)
@given(limit=INT64, value=INT64)
def test_a_message_can_be_made_of_any_numbers(code: Reject, limit: int, value: int) -> None:
    """Also of numbers that should not be: a follower must not die of a record in the log."""
    message = reject_message(code, limit, value)
    assert message.startswith(f"{TEXTS[code].check}: ")
    assert message.endswith(f" (code {int(code)})")
    assert "{" not in message


def test_messages_say_values_in_their_own_units() -> None:
    wanted = {
        (
            Reject.BUYING_POWER,
            20_000_000,
            1_000_500_000,
        ): "the order needs 1000.5, available is 20 (code 401)",
        (Reject.QTY_OVER_MAX, 10**8, 15 * 10**7): "quantity 1.5 is over the limit of 1 an order",
        (
            Reject.PRICE_OFF_TICK,
            10**6,
            10_050_000,
        ): "limit price 0.1005 is not a multiple of the tick size 0.01",
        (Reject.NO_FRESH_QUOTE, 2000, 2001): "the last is 2001 ms old, the most is 2000 ms",
        (Reject.ORDER_NOT_OPEN, 0, int(OrdStatus.FILLED)): "it is already filled",
        (
            Reject.ACCOUNT_NOT_ACTIVE,
            0,
            int(AccountState.HALTED),
        ): "account state is HALTED; orders need ACTIVE",
        (
            Reject.CURRENCY_NOT_HELD,
            EUR,
            USD,
        ): "needs cash in EUR, and the account has none; its own currency is USD",
        (
            Reject.DESK_OPEN_NOTIONAL,
            10**9,
            10**9 + 1,
        ): "open orders of the account's desk would be 1000.000001, over its limit of 1000",
        (Reject.NOT_IN_THIS_SESSION, 3, 2): "not taken in session PRE_OPEN; it is in AUCTION",
    }
    for (code, limit, value), text in wanted.items():
        assert text in reject_message(code, limit, value)


def test_an_unknown_code_is_still_a_sentence() -> None:
    assert reject_message(9999, 0, 0) == "rejected (code 9999)"


@pytest.mark.parametrize("code", CODES)
def test_codes_stand_in_their_bands_and_answer_as_client_errors(code: Reject) -> None:
    text = TEXTS[code]
    assert int(code) // 100 in (1, 2, 3, 4, 5, 6, 9)
    assert 400 <= text.http < 600
    assert text.code // 10**5 in (400, 403, 404, 422, 503) or text.code == 40010001
