"""The store over torn tails, corruption, resets and rotation, as files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fix import store as store_module
from fix.session import Sent, Stored
from fix.store import Store, StoreCorrupt, StoreError


def sent(seq: int, text: str = "", admin: bool = False) -> Sent:
    return Sent(seq, (text or f"message {seq}").encode(), admin, live=True)


def newest(folder: Path) -> Path:
    return max(folder.glob("*.fix"))


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.folder)


def test_a_new_store_begins_at_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert (store.next_in, store.next_out, store.state, store.generation) == (1, 1, b"", 0)


def test_numbers_messages_and_state_are_there_after_opening_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(5, [sent(1), sent(2, admin=True), sent(3)], b"cursor")
    store.append(6, [])
    store = reopened(store)
    assert (store.next_in, store.next_out, store.state) == (6, 4, b"cursor")
    assert list(store.read(1, 9)) == [Stored(1, b"message 1"), Stored(3, b"message 3")]
    assert list(store.read(2, 2)) == []


def test_a_torn_tail_at_every_byte_loses_only_the_append_that_was_torn(tmp_path: Path) -> None:
    whole = Store(tmp_path / "whole")
    whole.append(2, [sent(1)], b"one")
    before = newest(whole.folder).stat().st_size
    whole.append(3, [sent(2), sent(3)], b"two")
    whole.close()
    data = newest(whole.folder).read_bytes()
    for cut in range(len(data) + 1):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / "00000001.fix").write_bytes(data[:cut])
        store = Store(folder)
        found = (store.next_in, store.next_out, store.state)
        if cut == len(data):
            assert found == (3, 4, b"two")
        elif cut >= before:
            assert found == (2, 2, b"one")
        else:
            assert found in ((1, 1, b""), (2, 2, b"one"))
        store.append(9, [sent(store.next_out, "after")], b"after")
        store = reopened(store)
        assert (store.next_in, store.state) == (9, b"after")
        assert next(store.read(store.next_out - 1, store.next_out - 1)).raw == b"after"
        store.close()


def test_a_damaged_byte_in_the_last_record_is_a_torn_tail(tmp_path: Path) -> None:
    whole = Store(tmp_path / "whole")
    whole.append(2, [sent(1)])
    before = newest(whole.folder).stat().st_size
    whole.append(3, [sent(2)])
    whole.close()
    data = newest(whole.folder).read_bytes()
    for place in range(before, len(data)):
        folder = tmp_path / f"bad{place}"
        folder.mkdir()
        (folder / "00000001.fix").write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        store = Store(folder)
        assert (store.next_in, store.next_out) == (2, 2)
        store.close()


def test_damage_before_a_whole_record_is_corruption_and_names_the_place(tmp_path: Path) -> None:
    store = Store(tmp_path)
    place = newest(tmp_path).stat().st_size
    store.append(2, [sent(1)])
    store.append(3, [sent(2)])
    store.close()
    data = bytearray(newest(tmp_path).read_bytes())
    data[place + 20] ^= 1
    newest(tmp_path).write_bytes(data)
    with pytest.raises(StoreCorrupt, match=rf"damaged at byte {place}, with a whole record behind it"):
        Store(tmp_path)


def test_one_store_is_open_in_one_place(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match="open in another process"):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_a_reset_begins_again_and_keeps_the_state(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(7, [sent(1)], b"cursor")
    store.reset()
    assert list(store.read(1, 9)) == []
    store.append(2, [sent(1, "new")])
    store = reopened(store)
    assert (store.next_in, store.next_out, store.generation, store.state) == (2, 2, 1, b"cursor")
    assert list(store.read(1, 9)) == [Stored(1, b"new")]
    assert len(list(tmp_path.glob("*.fix"))) == 1


def test_a_reset_that_was_killed_before_it_cleaned_up_is_finished_at_the_next_start(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(7, [sent(1), sent(2)], b"cursor")
    old = newest(tmp_path).read_bytes()
    store.reset()
    store.close()
    (tmp_path / "00000001.fix").write_bytes(old)
    store = Store(tmp_path)
    assert (store.next_in, store.next_out) == (1, 1)
    assert list(store.read(1, 9)) == []
    assert [path.name for path in tmp_path.glob("*.fix")] == ["00000002.fix"]


def test_segments_are_bounded_and_a_resend_reaches_over_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_BYTES_MAX", 400)
    monkeypatch.setattr(store_module, "SEGMENTS_MAX", 3)
    store = Store(tmp_path)
    for seq in range(1, 61):
        store.append(seq, [sent(seq)], b"at %d" % seq)
    assert len(list(tmp_path.glob("*.fix"))) == 3
    for at in (store, reopened(store)):
        kept = [message.seq for message in at.read(1, 60)]
        assert kept == list(range(kept[0], 61))
        assert 1 < kept[0] < 60
        assert list(at.read(59, 59)) == [Stored(59, b"message 59")]
        assert (at.next_in, at.next_out, at.state) == (60, 61, b"at 60")


def test_a_segment_torn_at_its_birth_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(2, [sent(1)], b"one")
    store.close()
    (tmp_path / "00000002.fix").write_bytes(b"SFWT torn")
    store = Store(tmp_path)
    assert (store.next_in, store.next_out, store.state) == (2, 2, b"one")


def test_damage_in_an_older_segment_is_found_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_BYTES_MAX", 200)
    store = Store(tmp_path)
    for seq in range(1, 20):
        store.append(1, [sent(seq)])
    store.close()
    oldest = min(tmp_path.glob("*.fix"))
    oldest.write_bytes(oldest.read_bytes()[:-1] + b"!")
    store = Store(tmp_path)
    assert list(store.read(19, 19)) == [Stored(19, b"message 19")]
    with pytest.raises(StoreCorrupt, match=oldest.name):
        list(store.read(1, 19))


def test_a_state_that_is_too_large_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match="state of 70000 bytes; the most is 65536"):
        store.append(1, [], bytes(70_000))
    assert reopened(store).next_in == 1


def test_after_a_failed_append_nothing_more_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    real_write = os.write
    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "write", lambda fd, data: real_write(fd, data[:30]))
        with pytest.raises(StoreError, match="the disk is full"):
            store.append(2, [sent(1)])
    with pytest.raises(StoreError, match="an earlier append failed"):
        store.append(2, [sent(1)])
    store = reopened(store)
    assert (store.next_in, store.next_out) == (1, 1)
    store.append(2, [sent(1)])
    assert reopened(store).next_out == 2


APPENDS = st.lists(
    st.tuples(st.integers(1, 9), st.lists(st.booleans(), max_size=3), st.none() | st.binary(max_size=20)),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(APPENDS, st.data())
def test_whatever_was_appended_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    appends: list[tuple[int, list[bool], bytes | None]],
    data: st.DataObject,
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    next_in, next_out, state, kept = 1, 1, b"", []
    for advance, admins, new_state in appends:
        next_in += advance
        messages = [sent(next_out + i, admin=admin) for i, admin in enumerate(admins)]
        store.append(next_in, messages, new_state)
        kept += [Stored(message.seq, message.raw) for message in messages if not message.admin]
        next_out += len(messages)
        state = state if new_state is None else new_state
        if data.draw(st.booleans()):
            store = reopened(store)
    store = reopened(store)
    assert (store.next_in, store.next_out, store.state) == (next_in, next_out, state)
    begin = data.draw(st.integers(1, next_out))
    assert list(store.read(begin, next_out)) == [message for message in kept if message.seq >= begin]
    store.close()


def test_where_messages_begin_is_kept_for_the_newest_segment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_BYTES_MAX", 400)
    store = Store(tmp_path)
    for seq in range(1, 61):
        store.append(seq, [sent(seq)])
    for _ in range(2):
        assert sum(len(segment.offsets) for segment in store._segments) < 20
        assert [message.seq for message in store.read(1, 60)] == list(range(1, 61))


def test_a_resend_goes_on_when_the_segment_that_it_reads_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SEGMENT_BYTES_MAX", 400)
    store = Store(tmp_path)
    for seq in range(1, 6):
        store.append(seq, [sent(seq)])
    resend = store.read(1, 5)
    assert next(resend).seq == 1
    for seq in range(6, 30):
        store.append(seq, [sent(seq)])
    assert [message.seq for message in resend] == [2, 3, 4, 5]
