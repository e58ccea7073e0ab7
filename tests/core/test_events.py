"""An event reads back from the log as it was written there."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.events import Event, decode
from core.records import EVENT, EVENT_BYTES

RANGES = {
    "u1": st.integers(0, 255),
    "u2": st.integers(0, 2**16 - 1),
    "u4": st.integers(0, 2**32 - 1),
    "u8": st.integers(0, 2**64 - 1),
    "i8": st.integers(-(2**63), 2**63 - 1),
}
FIELDS = st.fixed_dictionaries(
    {name: RANGES[EVENT[name].str.lstrip("<|")] for name in EVENT.names or () if name != "text_length"}
)


@given(values=FIELDS, text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=128))
def test_an_event_reads_back_whole(values: dict[str, int], text: str) -> None:
    row = np.zeros(1, EVENT)
    for name, value in {**values, "text_length": len(text)}.items():
        row[name] = value
    fields = row.tobytes()
    without_zeros = fields[: max(8, -(-len(fields.rstrip(b"\0")) // 8) * 8)]  # as the log has them
    for stored in (fields, without_zeros):
        event = decode(7, 8, stored + text.encode())
        assert (event.seq, event.time_ns, event.text) == (7, 8, text)
        assert {name: getattr(event, name) for name in values} == values


def test_the_struct_has_every_field_of_the_record() -> None:
    names = set(EVENT.names or ()) - {"text_length"}
    assert set(Event.__struct_fields__) == names | {"seq", "time_ns", "text"}
    assert EVENT_BYTES % 8 == 0
