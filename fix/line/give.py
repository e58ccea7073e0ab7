"""Messages out: numbered, encoded by a template, stored, and only then sent.

Always holds: nothing leaves that is not in the store, and it leaves in the order in which it was stored. What the
socket does not take waits in the row's buffer, which is bounded; when that is full, or the store fails, the row goes to
Python, and the message is not given a number.

Every template begins with the same header (`line_template`), so that its places are known: the CompIDs are the row's
own bytes, and one template serves all rows of a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from fix.line.keep import MESSAGE_ROOM, keep, record_buffer
from fix.line.row import BEGIN_STRING, TX_BYTES, Why
from fix.wire.template import Built, Kind, Template, build, encode
from fix.wire.tokens import Array
from shared_mem.atomics import copy_bytes, load_u8, store_u8
from shared_mem.jit import jit
from shared_mem.sockets import send_now

# Places in a template's values: MsgSeqNum, SenderCompID, SendingTime, TargetCompID.
_SEQ: Final = 0
_SENDER: Final = 1
_TIME: Final = 3
_TARGET: Final = 4
_CLOSED: Final = int(Why.CLOSED)
_UNREAD: Final = int(Why.UNREAD)

Body = Sequence[tuple[int, str | Kind]]


class Writer(NamedTuple):
    """What writing needs; one for all rows of a thread."""

    out: Array  # uint8 (MESSAGE_ROOM,)
    record: Array


def make_writer() -> Writer:
    return Writer(np.zeros(MESSAGE_ROOM, np.uint8), record_buffer())


def line_template(msg_type: str, body: Body) -> Built:
    """The template of a message type for any row. Raises TemplateError."""
    header: Body = [(34, Kind.INT), (49, Kind.TEXT), (52, Kind.TIME_MS), (56, Kind.TEXT)]
    built = build(BEGIN_STRING, msg_type, [*header, *body])
    assert [built.slots[tag] for tag in (34, 49, 52, 56)] == [_SEQ, _SENDER, _TIME, _TARGET]
    return built


@jit
def flush(line: Any) -> bool:
    """What waits into the socket, as much as it takes; False, and `why`: the connection has ended."""
    while line.tx_from < line.tx_to:
        sent = send_now(line.fd, line.tx + line.tx_from, line.tx_to - line.tx_from)
        if sent < 0:
            line.why = _CLOSED
            return False
        if sent == 0:
            return True
        line.tx_from += sent
    line.tx_from = 0
    line.tx_to = 0
    return True


@jit
def _queue(line: Any, address: int, length: int) -> None:
    """Behind what waits. tx_to - tx_from + length <= TX_BYTES: `give` has seen to it."""
    if line.tx_to + length > TX_BYTES:
        held = line.tx_to - line.tx_from
        for i in range(held):  # downwards: nothing is read that was already written over
            store_u8(line.tx + i, load_u8(line.tx + line.tx_from + i))
        line.tx_from = 0
        line.tx_to = held
    copy_bytes(line.tx + line.tx_to, address, length)
    line.tx_to += length


@jit
def give(
    line: Any,
    writer: Writer,
    template: Template,
    values: Array,
    now_ns: int,
    steady_ns: int,
    admin: int,
    cursor: int,
) -> bool:
    """Number, encode, store and send one message; its header is filled in here. False, and `why` unless it is a value
    that has no form: nothing was done. cursor: what is stored with it, see `keep`."""
    values[_SEQ] = line.next_out
    values[_SENDER], values[_SENDER + 1] = line.sender, line.sender_length
    values[_TIME] = now_ns
    values[_TARGET], values[_TARGET + 1] = line.target, line.target_length
    start, length = encode(template, values, writer.out.ctypes.data, MESSAGE_ROOM)
    if length < 0:
        return False
    if line.tx_to - line.tx_from + length > TX_BYTES:
        line.why = _UNREAD
        return False
    message = writer.out.ctypes.data + start
    if not keep(line, writer.record, message, length, admin, cursor):
        return False
    line.sent_ns = steady_ns
    done = 0
    if line.tx_from == line.tx_to:
        sent = send_now(line.fd, message, length)
        if sent < 0:
            line.why = _CLOSED  # it is stored: the peer asks for it after the next Logon
        done = max(sent, 0)
    if done < length:
        _queue(line, message + done, length - done)
    return True
