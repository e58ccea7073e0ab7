"""The row of one established session, and the buffers behind it.

Always holds:
- Who may touch a row is its `owner`. It is Python's from the start, and again from the moment at which compiled code
  writes `why`.
- rx_from <= rx_to <= RX_BYTES and tx_from <= tx_to <= TX_BYTES; the bytes rx+rx_from..rx+rx_to came and are not taken,
  the bytes tx+tx_from..tx+tx_to were stored and are not sent.
- Every field is an int64: a row has no unsigned number that would turn a sum into a float.

Lines for compiled code speak FIX.4.4 with milliseconds in SendingTime and no header fields of their own.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, Literal

import numpy as np

from fix.lent import Lent
from fix.wire.tokens import Array

BEGIN_STRING: Final = "FIX.4.4"
TIME_DIGITS: Final = 3

# What has come and is not taken: a burst of forty orders. A message that does not fit is for Python.
RX_BYTES: Final = 16 << 10
# What the peer's socket did not take: a thousand reports. One more and the row goes to Python, which has its own bound
# (`fix.durable.OUTGOING_BYTES_MAX`) and cuts the peer off there.
TX_BYTES: Final = 256 << 10
# The application's state in the store: a cursor and some names. A longer one keeps the row with Python.
STATE_BYTES: Final = 1024
# CompIDs are at most 64 characters (fix/acceptor.py).
COMP_ID_BYTES: Final = 64
# Rows of one table: each is polled every round, at some 0.3 us. Sessions beyond stay with Python.
LINES_MAX: Final = 64

PYTHON: Final = 0
COMPILED: Final = 1


class Why(IntEnum):
    """Why a row goes to Python."""

    NOTHING = 0
    MESSAGE = 1  # what stands at rx_from is not for compiled code
    CLOSED = 2  # the connection has ended, in whatever way
    SILENT = 3  # the peer has been silent for too long
    UNREAD = 4  # the peer does not read: tx is full
    STORE = 5  # the store could not be written
    SEGMENT = 6  # the store's segment is full
    RECORD = 7  # what the log says at `cursor` is not for compiled code


_FIELDS: Final = (
    "owner", "why", "fd", "account",
    "next_in", "next_out", "generation",
    "rx", "rx_from", "rx_to", "tx", "tx_from", "tx_to",
    "sender", "sender_length", "target", "target_length",  # ours and the peer's CompID, as bytes
    "received_ns", "sent_ns", "asked",  # of the steady clock; asked: a TestRequest is unanswered
    "heartbeat_ns", "test_after_ns", "gone_after_ns", "skew_ns_max",
    "store_fd", "store_size", "store_limit", "kept_in",  # kept_in: next_in as the store has it
    "state", "state_length", "cursor_at", "cursor_is_big",  # cursor_at: where in the state it stands
    "cursor", "kept_cursor",  # positions in the log: up to where told, and as the store has it
    "times", "times_at", "times_last_ns", "messages", "window_ns",  # the client's throttle; messages 0: none
)  # fmt: skip
LINE: Final = np.dtype([(name, "i8") for name in _FIELDS])


class Table:
    """Rows and what stands behind them. `lines` is what compiled code gets; it keeps no memory alive by itself."""

    def __init__(self, capacity: int = LINES_MAX) -> None:
        if not 0 < capacity <= LINES_MAX:
            raise ValueError(f"a table of {capacity} lines; give 1 to {LINES_MAX}")
        self.lines: Array = np.zeros(capacity, LINE)
        self.used = 0
        self.lent: dict[int, Lent] = {}  # by row: as it was when it was lent
        self._rx = np.zeros((capacity, RX_BYTES), np.uint8)
        self._tx = np.zeros((capacity, TX_BYTES), np.uint8)
        self._state = np.zeros((capacity, STATE_BYTES), np.uint8)
        self._names = np.zeros((capacity, 2, COMP_ID_BYTES), np.uint8)

    def add(self) -> int:
        """A row for one more session, Python's; its number. Raises IndexError where there is no room."""
        number = self.used
        if number == len(self.lines):
            raise IndexError(f"all {number} lines are taken; the session stays with Python")
        self.used += 1
        line = self.lines[number]
        line["rx"] = self._rx[number].ctypes.data
        line["tx"] = self._tx[number].ctypes.data
        line["state"] = self._state[number].ctypes.data
        line["sender"] = self._names[number, 0].ctypes.data
        line["target"] = self._names[number, 1].ctypes.data
        line["fd"] = line["store_fd"] = -1
        return number

    def name(self, number: int, sender: str, target: str) -> None:
        """Ours and the peer's CompID. Raises ValueError for one that is too long."""
        for place, text in enumerate((sender, target)):
            raw = text.encode("latin-1")
            if not 0 < len(raw) <= COMP_ID_BYTES:
                raise ValueError(f"CompID {text!r}; give 1 to {COMP_ID_BYTES} characters")
            self._names[number, place, : len(raw)] = np.frombuffer(raw, np.uint8)
            self.lines[number]["sender_length" if place == 0 else "target_length"] = len(raw)

    def set_state(self, number: int, state: bytes, cursor_at: int, big: bool) -> None:
        """What is stored with each message; the eight bytes at `cursor_at` become the cursor."""
        if len(state) > STATE_BYTES or (state and not 0 <= cursor_at <= len(state) - 8):
            raise ValueError(f"a state of {len(state)} bytes with its cursor at {cursor_at}")
        line: Any = self.lines[number]
        self._state[number, : len(state)] = np.frombuffer(state, np.uint8)
        line["state_length"], line["cursor_at"], line["cursor_is_big"] = len(state), cursor_at, big

    def kept_state(self, number: int) -> bytes:
        """The state as the store has it; empty when none was stored with the row."""
        line = self.lines[number]
        state = bytearray(self._state[number, : int(line["state_length"])].tobytes())
        if state:
            at = int(line["cursor_at"])
            order: Literal["big", "little"] = "big" if line["cursor_is_big"] else "little"
            state[at : at + 8] = int(line["kept_cursor"]).to_bytes(8, order)
        return bytes(state)

    def received(self, number: int) -> bytes:
        """What came and was not taken."""
        line = self.lines[number]
        return self._rx[number, int(line["rx_from"]) : int(line["rx_to"])].tobytes()

    def unsent(self, number: int) -> bytes:
        """What was stored and not sent."""
        line = self.lines[number]
        return self._tx[number, int(line["tx_from"]) : int(line["tx_to"])].tobytes()

    def put_received(self, number: int, data: bytes) -> None:
        """What has come before the row is lent. Raises ValueError where there is no room."""
        if len(data) > RX_BYTES:
            raise ValueError(f"{len(data)} bytes; a line holds {RX_BYTES}")
        line = self.lines[number]
        self._rx[number, : len(data)] = np.frombuffer(data, np.uint8)
        line["rx_from"], line["rx_to"] = 0, len(data)
