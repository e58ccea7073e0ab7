"""One row's everyday: what has come, up to the next message of the application; and what is due.

length = step(line, kit, now_ns, steady_ns, True)  # session messages are answered on the way
length > 0   a message of the application is next: take it (`take.taken`), or hand the row over; then step on, False
length == 0  nothing more has come
length < 0   the row is for Python: `line.why`
settle(line, kit)                             # before the next round: what was taken is stored
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from fix.line.alive import DONE, NOT_OURS, Alive, keep_alive, make_alive, take_admin
from fix.line.give import Writer, flush, make_writer
from fix.line.keep import keep
from fix.line.row import RX_BYTES, Why
from fix.line.take import Reader, make_reader, next_message, receive
from shared_mem.jit import jit

_NOTHING: Final = int(Why.NOTHING)
_MESSAGE: Final = int(Why.MESSAGE)
_FOR_PYTHON: Final = -1


class Kit(NamedTuple):
    """The tools of one thread, for all its rows."""

    reader: Reader
    writer: Writer
    alive: Alive


def make_kit() -> Kit:
    return Kit(make_reader(), make_writer(), make_alive())


@jit
def step(line: Any, kit: Kit, now_ns: int, steady_ns: int, is_first: bool) -> int:
    """See the module. It ends: each turn takes a message, or bytes, or answers. is_first: of a round. Bytes are asked
    for once a round, unless they filled the buffer: the order that has come does not wait while the socket says that
    it has no other."""
    if line.why != _NOTHING or not flush(line):
        return _FOR_PYTHON
    may_receive = is_first
    while True:
        length = next_message(line, kit.reader, now_ns)
        if length == 0:
            if not may_receive:
                break
            found = receive(line)
            if found < 0:
                return _FOR_PYTHON
            if found == 0:
                break
            may_receive = line.rx_to == RX_BYTES
            continue
        if length < 0:
            line.why = _MESSAGE
            return _FOR_PYTHON
        admin = take_admin(line, kit.reader, kit.writer, kit.alive, length, now_ns, steady_ns)
        if admin == NOT_OURS:
            return length
        if admin != DONE:
            if line.why == _NOTHING:
                line.why = _MESSAGE
            return _FOR_PYTHON
    return 0 if keep_alive(line, kit.writer, kit.alive, now_ns, steady_ns) else _FOR_PYTHON


@jit
def settle(line: Any, kit: Kit) -> bool:
    """Store that what was taken is taken, where no message of ours has said so; False, and `why`: for Python."""
    return line.next_in == line.kept_in or keep(line, kit.writer.record, 0, 0, 0, -1)
