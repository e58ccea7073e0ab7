from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import databento_dbn as dbn
import numpy as np
import pytest

from marketdata.recording import RecordingError, batches, open_recording
from marketdata.records import MBO, pack_message, unpack_message, unpack_messages


def test_the_head_names_the_instruments(es_recording: Path) -> None:
    head = open_recording(es_recording)
    assert head.symbols == {17077: "ESH4"}
    assert (head.dataset, head.start) == ("GLBX.MDP3", date(2023, 12, 25))


def test_every_record_comes_as_the_file_has_it(es_recording: Path) -> None:
    packed: Any = dbn.Compression.ZSTD
    decoder = dbn.DBNDecoder(compression=packed)
    decoder.write(es_recording.read_bytes())
    records = [record for record in decoder.decode() if isinstance(record, dbn.MBOMsg)]
    read = np.concatenate(list(batches(es_recording, request=9)))
    assert read.dtype == MBO
    assert len(read) == len(records) == 68_792
    for index, (row, record) in enumerate(zip(unpack_messages(read.tobytes()), records, strict=True)):
        assert (row.recording_index, row.request) == (index, 9)
        assert row.price_e8 * 10 == record.price
        assert (row.time_ns, row.event_ns) == (record.ts_recv, record.ts_event)
        assert (row.order_id, row.size, row.sequence) == (record.order_id, record.size, record.sequence)
        assert (chr(row.action), chr(row.side)) == (str(record.action), str(record.side))
        assert (row.flags, row.instrument_id) == (int(record.flags), record.instrument_id)


def test_a_message_is_packed_as_the_layout_says(es_recording: Path) -> None:
    rows = next(batches(es_recording))
    raw = rows[100:101].tobytes()
    message = unpack_message(raw)
    assert pack_message(message) == raw
    assert message._asdict() == {name: int(rows[100][name]) for name in MBO.names or ()}


def test_no_file_is_an_error_that_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"No such file.*dbn"):
        open_recording(tmp_path / "none.dbn.zst")


@pytest.mark.parametrize("content", [b"", b"no recording", b"\x28\xb5\x2f\xfd neither"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.dbn"
    path.write_bytes(content)
    with pytest.raises(RecordingError):
        open_recording(path)


def test_a_file_that_was_cut_off_gives_its_whole_records_and_then_says_so(
    es_recording: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.dbn.zst"
    path.write_bytes(es_recording.read_bytes()[:300_000])
    read: list[int] = []
    with pytest.raises(RecordingError, match="cut off"):
        read.extend(len(batch) for batch in batches(path))
    assert 0 < sum(read) < 68_792
