"""What the exchange keeps in a session's store beside its messages, in the same append as its answers."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_LAYOUT: Final = struct.Struct("<QQI")


class VenueState(NamedTuple):
    """The next number for an OrderID or ExecID; the MsgSeqNum of the oldest answer that an open order or a
    phase needs; the generation of the sequence numbers for which that is true."""

    next_number: int
    oldest_needed: int
    generation: int

    def pack(self) -> bytes:
        return _LAYOUT.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> VenueState:
        return cls(*_LAYOUT.unpack(data))
