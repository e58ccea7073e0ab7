"""A recording: a market-by-order file in Databento's DBN (`.dbn` or `.dbn.zst`), read as arrays of MBO
records.

Always holds: records come in the order of the file, each with its own `recording_index`; a price that
price_e8 can't hold exactly is an error, never rounded; memory stays at one batch, whatever the file's size.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import databento_dbn as dbn
import numpy as np

from marketdata.records import MBO

# Compressed bytes taken at once: about ten thousand messages, 600 KB.
CHUNK_BYTES: Final = 64 * 1024
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_DBN_E9_TO_E8: Final = 10

# DBN's own layout of an MBO message (RType 0xA0), as its bytes stand.
_DBN_MBO: Final = np.dtype(
    [
        ("length", "u1"),
        ("rtype", "u1"),
        ("publisher_id", "u2"),
        ("instrument_id", "u4"),
        ("ts_event", "i8"),
        ("order_id", "u8"),
        ("price_e9", "i8"),
        ("size", "u4"),
        ("flags", "u1"),
        ("channel_id", "u1"),
        ("action", "u1"),
        ("side", "u1"),
        ("ts_recv", "i8"),
        ("ts_in_delta", "i4"),
        ("sequence", "u4"),
    ]
)
assert _DBN_MBO.itemsize == 56


class RecordingError(ValueError):
    """A file that can't be replayed: not there, not DBN, not market by order, or broken. The text says
    where."""


class Recording(NamedTuple):
    """What the file's head says."""

    path: Path
    dataset: str
    symbols: dict[int, str]  # by the recording's instrument id
    start: date


def open_recording(path: Path) -> Recording:
    """Read the head of the file, and no more. Raises RecordingError."""
    head = next((records for records in _decoded(path) if records), None)
    if not head or not isinstance(head[0], dbn.Metadata):
        raise RecordingError(f"{path} has no DBN metadata at its beginning")
    metadata = head[0]
    if str(metadata.schema) != str(dbn.Schema.MBO):
        raise RecordingError(f"{path} holds {metadata.schema}; a replay needs market by order (mbo)")
    symbols: dict[int, str] = {}
    start = None
    for name, intervals in metadata.mappings.items():
        for interval in intervals:
            if str(interval["symbol"]).isdigit():
                symbols[int(interval["symbol"])] = str(name)
                start = interval["start_date"] if start is None else min(start, interval["start_date"])
    if not symbols or start is None:
        raise RecordingError(
            f"{path} maps no instrument id to a symbol; ask for it with symbology in its metadata"
        )
    return Recording(path, str(metadata.dataset), symbols, start)


def batches(path: Path, request: int = 0) -> Iterator[np.ndarray[Any, np.dtype[np.void]]]:
    """The MBO records of the file, in batches; `request` is stamped into each. Raises RecordingError."""
    index = 0
    for decoded in _decoded(path):
        records = [r for r in decoded if not isinstance(r, dbn.Metadata)]
        places = [i for i, r in enumerate(records) if isinstance(r, dbn.MBOMsg)]
        raw = b"".join(bytes(records[i]) for i in places)
        source = np.frombuffer(raw, dtype=_DBN_MBO)
        batch = np.zeros(len(source), dtype=MBO)
        batch["recording_index"] = np.array(places, dtype=np.uint64) + index
        batch["time_ns"] = source["ts_recv"]
        batch["event_ns"] = source["ts_event"]
        prices = np.where(source["price_e9"] == dbn.UNDEF_PRICE, 0, source["price_e9"])
        batch["price_e8"] = prices // _DBN_E9_TO_E8
        if np.any(batch["price_e8"] * _DBN_E9_TO_E8 != prices):
            at = int(np.nonzero(batch["price_e8"] * _DBN_E9_TO_E8 != prices)[0][0])
            where = int(batch["recording_index"][at])
            raise RecordingError(
                f"{path}: the price of record {where} has nine decimals; eight is the most here"
            )
        for name in ("order_id", "size", "instrument_id", "sequence", "flags", "action", "side"):
            batch[name] = source[name]
        batch["request"] = request
        index += len(records)
        if len(batch):
            yield batch


def _decoded(path: Path) -> Iterator[list[Any]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise RecordingError(
            f"{path} can't be read: {error.strerror}; give the path of a .dbn.zst file"
        ) from error
    with file:
        first = file.read(CHUNK_BYTES)
        packed = first.startswith(_ZSTD_MAGIC)
        compression: Any = dbn.Compression.ZSTD if packed else dbn.Compression.NONE
        decoder = dbn.DBNDecoder(compression=compression)
        try:
            for chunk in chain([first], iter(lambda: file.read(CHUNK_BYTES), b"")):
                decoder.write(chunk)
                yield decoder.decode()
        except (dbn.DBNError, RuntimeError) as error:  # RuntimeError: the zstd stream is damaged
            raise RecordingError(f"{path} is not a whole DBN file: {error}") from error
        if decoder.buffer():
            raise RecordingError(f"{path} ends inside a record; it was cut off")
