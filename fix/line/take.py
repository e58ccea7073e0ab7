"""Bytes in: what the socket has, and the next message of the session if it is the expected one.

    receive(line)                       # recv into the row's buffer
    length = next_message(line, reader, now_ns)
    length > 0   a whole message is at `message_at(line)`, its fields are in reader.tokens, its header is right and it
                 is the next in sequence: do what it says, then `taken(line, length, steady_ns)`
    length == 0  it is not all there yet
    length < 0   it is not for compiled code: it stays where it is, the row goes to Python with all that follows

What is looked at is what `fix.session_checks.check_header` looks at, and less is taken: the header is BeginString,
BodyLength, MsgType, then MsgSeqNum, SenderCompID, SendingTime and TargetCompID in any order and each once, nothing
else. PossDupFlag, a number too high or too low, another name, a wrong clock, a garbled message: those are Python's.

No index is out of bounds: recv gets the address rx+rx_to and the room RX_BYTES-rx_to; `frame` and `tokenise` are given
rx+rx_from and rx_to-rx_from, and answer within it; a token's value lies inside its frame.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from fix.line.row import BEGIN_STRING, RX_BYTES, Why
from fix.wire.frame import frame
from fix.wire.tokens import Array, data_table, token_table, tokenise
from fix.wire.values import BAD, read_int, read_utc_ns
from shared_mem.atomics import load_u8, store_u8
from shared_mem.jit import jit
from shared_mem.sockets import recv_now

# An order has fifteen fields, a report twenty-five. A message of more is for Python.
TOKENS: Final = 128
# `found`: how many tokens the message has, and the first that is behind the header.
COUNT: Final = 0
BODY: Final = 1

_FOR_PYTHON: Final = -1
_MSG_SEQ_NUM: Final = 34
_SENDER: Final = 49
_SENDING_TIME: Final = 52
_TARGET: Final = 56
_BEGIN: Final = np.frombuffer(BEGIN_STRING.encode(), np.uint8)
_CLOSED: Final = int(Why.CLOSED)


class Reader(NamedTuple):
    """What reading needs; one for all rows of a thread."""

    tokens: Array
    data_of: Array
    found: Array  # int64 (2,)


def make_reader() -> Reader:
    return Reader(token_table(TOKENS), data_table(), np.zeros(2, np.int64))


@jit
def same_bytes(a: int, b: int, length: int) -> bool:
    for i in range(length):
        if load_u8(a + i) != load_u8(b + i):
            return False
    return True


@jit
def message_at(line: Any) -> int:
    return line.rx + line.rx_from


@jit
def _make_room(line: Any) -> None:
    """What is not taken moves to the buffer's beginning: downwards, byte by byte, so nothing is read that was already
    written over."""
    held = line.rx_to - line.rx_from
    if line.rx_from > 0:
        for i in range(held):
            store_u8(line.rx + i, load_u8(line.rx + line.rx_from + i))
    line.rx_from = 0
    line.rx_to = held


@jit
def receive(line: Any) -> int:
    """What has come, into the buffer: how many bytes; below 0, and `why`: the connection has ended."""
    if line.rx_from == line.rx_to or line.rx_to == RX_BYTES:
        _make_room(line)
    if line.rx_to == RX_BYTES:
        return 0  # a message that does not fit: `next_message` says so
    found = recv_now(line.fd, line.rx + line.rx_to, RX_BYTES - line.rx_to)
    if found < 0:
        line.why = _CLOSED
        return found
    line.rx_to += found
    return found


@jit
def _header_is_right(line: Any, tokens: Array, found: Array, now_ns: int) -> bool:
    """Whether it is what this session expects next. count >= 4, for a frame has 8, 9, 35 and 10."""
    base = message_at(line)
    count = found[COUNT]
    if tokens[0].length != _BEGIN.size:
        return False
    for i in range(_BEGIN.size):
        if load_u8(base + tokens[0].offset + i) != _BEGIN[i]:
            return False
    seen = 0
    at = 3
    while at < count and seen != 15:
        tag = tokens[at].tag
        value = base + tokens[at].offset
        length = int(tokens[at].length)
        if tag == _MSG_SEQ_NUM and seen & 1 == 0 and read_int(value, length) == line.next_in:
            seen |= 1
        elif tag == _SENDER and seen & 2 == 0 and length == line.target_length:
            if not same_bytes(value, line.target, length):
                return False
            seen |= 2
        elif tag == _TARGET and seen & 4 == 0 and length == line.sender_length:
            if not same_bytes(value, line.sender, length):
                return False
            seen |= 4
        elif tag == _SENDING_TIME and seen & 8 == 0:
            sent_ns = read_utc_ns(value, length)
            if sent_ns == BAD or 0 < line.skew_ns_max < abs(sent_ns - now_ns):
                return False
            seen |= 8
        else:
            return False
        at += 1
    found[BODY] = at
    return seen == 15


@jit
def next_message(line: Any, reader: Reader, now_ns: int) -> int:
    """See the module."""
    held = line.rx_to - line.rx_from
    length = frame(message_at(line), held)
    if length == 0:
        # In a full buffer the message that is begun has no room to end, unless it can move down first.
        return _FOR_PYTHON if held == RX_BYTES else 0
    if length < 0:
        return _FOR_PYTHON
    reader.found[COUNT] = tokenise(message_at(line), length, reader.tokens, reader.data_of)
    if reader.found[COUNT] < 4 or not _header_is_right(line, reader.tokens, reader.found, now_ns):
        return _FOR_PYTHON
    return length


@jit
def type_of(line: Any, reader: Reader) -> int:
    """MsgType (35) of one character; 0 for a longer one. It is the third field: `frame` has seen to it."""
    return load_u8(message_at(line) + reader.tokens[2].offset) if reader.tokens[2].length == 1 else 0


@jit
def taken(line: Any, length: int, steady_ns: int) -> None:
    """The message of so many bytes is done with."""
    line.rx_from += length
    line.next_in += 1
    line.received_ns = steady_ns
    line.asked = 0
