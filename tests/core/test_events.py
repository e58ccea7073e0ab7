"""An event reads back from the log as it was written there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.event_layouts import EVENT, EVENT_BYTES, EVENT_LAYOUTS
from core.events import Event, decode
from core.records import EventKind

RANGES = {
    "u1": st.integers(0, 255),
    "u2": st.integers(0, 2**16 - 1),
    "u4": st.integers(0, 2**32 - 1),
    "u8": st.integers(0, 2**64 - 1),
    "i8": st.integers(-(2**63), 2**63 - 1),
}
# Kinds whose layout is EVENT's, and one of each other layout.
KINDS = [EventKind.ORDER, EventKind.CASH, EventKind.INSTRUMENT]


def _fields(layout: np.dtype[np.void]) -> dict[str, st.SearchStrategy[int]]:
    names = [name for name in layout.names or () if name not in ("kind", "text_length")]
    return {name: RANGES[layout[name].str.lstrip("<|")] for name in names}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=128))
def test_an_event_reads_back_whole(kind: EventKind, data: st.DataObject, text: str) -> None:
    layout = EVENT_LAYOUTS.get(kind, EVENT)
    values = {**data.draw(st.fixed_dictionaries(_fields(layout))), "kind": int(kind)}
    row = np.zeros(1, layout)
    for name, value in {**values, "text_length": len(text)}.items():
        row[name] = value
    fields = row.tobytes()
    without_zeros = fields[: max(8, -(-len(fields.rstrip(b"\0")) // 8) * 8)]  # as the log has them
    for stored in (fields, without_zeros):
        event = decode(7, 8, stored + text.encode())
        assert (event.seq, event.time_ns, event.text) == (7, 8, text)
        assert {name: getattr(event, name) for name in values} == values


def test_the_struct_has_every_field_of_the_records() -> None:
    names = {name for layout in (EVENT, *EVENT_LAYOUTS.values()) for name in layout.names or ()}
    assert set(Event.__struct_fields__) == names - {"text_length"} | {"seq", "time_ns", "text"}


def test_every_layout_is_of_one_size_and_begins_alike() -> None:
    head = ("kind", "source", "text_length", "reject_code", "account", "instrument", "request_id", "order_id")
    assert EVENT_BYTES % 8 == 0
    assert EVENT.fields is not None
    for layout in EVENT_LAYOUTS.values():
        assert layout.itemsize == EVENT_BYTES
        assert layout.fields is not None
        assert all(layout.fields[name] == EVENT.fields[name] for name in (*head, "cause_seq"))
