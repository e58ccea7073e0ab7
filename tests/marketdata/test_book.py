from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.book import Book, Top
from marketdata.recording import batches
from marketdata.records import ASK, BID, F_LAST, Action, Message, unpack_messages
from tests.marketdata.naive_book import NaiveBook

TICK = 25_000_000


def message(index: int, action: int, order_id: int, side: int, price_e8: int, size: int) -> Message:
    return Message(index, 0, 0, order_id, price_e8, size, 1, 0, 0, F_LAST, action, side)


def same(book: Book, naive: NaiveBook) -> None:
    """Both books tell the same levels and queues, and the same top."""
    for side, name in ((BID, "B"), (ASK, "A")):
        levels = naive.levels(name)
        assert book.levels(side, depth=10_000) == levels
        assert list(book.prices(side)) == [price for price, _ in levels]
        for price, _ in levels:
            assert [tuple(place) for place in book.queue(side, price)] == naive.queue(name, price)
        assert book.best(side) == (levels[0][0] if levels else 0)
    assert len(book) == len(naive.orders)


messages = st.builds(
    lambda action, order_id, side, price, size: (action, order_id, side, price * TICK, size),
    st.sampled_from(
        [Action.ADD] * 4
        + [Action.MODIFY] * 4
        + [Action.CANCEL] * 3
        + [Action.TRADE, Action.FILL, Action.CLEAR]
    ),
    st.integers(1, 12),
    st.sampled_from([BID, BID, ASK, ASK, ord("N")]),
    st.integers(1, 5),
    st.integers(0, 6),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(messages, max_size=60))
def test_any_stream_leaves_the_book_that_a_plain_list_would(
    stream: list[tuple[int, int, int, int, int]],
) -> None:
    book, naive = Book(), NaiveBook()
    for index, fields in enumerate(stream):
        for each in (book, naive):
            each.apply(message(index, *fields))
        same(book, naive)


def test_the_recording_leaves_the_book_that_a_plain_list_would(es_recording: Path) -> None:
    book, naive = Book(), NaiveBook()
    # The snapshot, the auction before the open and the first trades: after them a plain list is too slow.
    for batch in batches(es_recording):
        for each in unpack_messages(batch.tobytes()):
            book.apply(each)
            naive.apply(each)
            if each.recording_index in (8724, 9000, 9713, 10_500):
                same(book, naive)
            if each.recording_index == 10_500:
                assert book.unknown == 0
                return


def test_the_whole_recording_ends_uncrossed_with_every_cancel_known(es_recording: Path) -> None:
    book = Book()
    for batch in batches(es_recording):
        for each in unpack_messages(batch.tobytes()):
            book.apply(each)
    assert book.top() == Top(481_000_000_000, 22, 481_025_000_000, 28)
    assert book.top().is_market
    assert (len(book), book.unknown) == (11_217, 0)


def test_an_order_that_shrinks_keeps_its_place_and_one_that_grows_loses_it() -> None:
    book = Book()
    for index, order_id in enumerate((1, 2, 3)):
        book.apply(message(index, Action.ADD, order_id, BID, TICK, 5))
    book.apply(message(3, Action.MODIFY, 1, BID, TICK, 4))
    assert [place.order_id for place in book.queue(BID, TICK)] == [1, 2, 3]
    book.apply(message(4, Action.MODIFY, 1, BID, TICK, 6))
    assert [(place.order_id, place.queued_at) for place in book.queue(BID, TICK)] == [(2, 1), (3, 2), (1, 4)]


def test_a_crossed_book_is_no_market() -> None:
    book = Book()
    book.apply(message(0, Action.ADD, 1, BID, 3 * TICK, 1))
    assert not book.top().is_market
    book.apply(message(1, Action.ADD, 2, ASK, 3 * TICK, 1))
    assert not book.top().is_market
    book.apply(message(2, Action.MODIFY, 2, ASK, 4 * TICK, 1))
    assert book.top().is_market


def test_a_cancel_of_an_order_that_is_not_there_is_counted() -> None:
    book = Book()
    book.apply(message(0, Action.CANCEL, 1, BID, TICK, 1))
    assert (book.unknown, len(book)) == (1, 0)
