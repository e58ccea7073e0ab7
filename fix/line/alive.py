"""The session's own messages, compiled: heartbeats and test requests, both ways, as `fix/session_alive.py` has them.

Always holds: what is taken here is only a Heartbeat (0) or a TestRequest (1) whose body is TestReqID (112) or nothing.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from fix.line.give import Writer, give, line_template
from fix.line.row import Why
from fix.line.take import BODY, COUNT, Reader, message_at, taken, type_of
from fix.wire.template import ABSENT, Kind, Template
from fix.wire.tokens import Array
from shared_mem.jit import whole

_HEARTBEAT: Final = ord("0")
_TEST_REQUEST: Final = ord("1")
_TEST_REQ_ID: Final = 112
_CHECK_SUM: Final = 10
# Longer than any that a peer means; the Python session answers a longer one.
TEST_REQ_ID_BYTES_MAX: Final = 512
_SILENT: Final = int(Why.SILENT)

NOT_OURS: Final = 0
DONE: Final = 1
FOR_PYTHON: Final = -1


class Alive(NamedTuple):
    """Templates of the two messages. `id_slot`: of a Heartbeat's TestReqID."""

    heartbeat: Template
    heartbeat_values: Array
    id_slot: int
    test_request: Template
    test_request_values: Array


def make_alive() -> Alive:
    heartbeat = line_template("0", [(_TEST_REQ_ID, Kind.TEXT)])
    test_request = line_template("1", [(_TEST_REQ_ID, "TEST")])
    return Alive(
        heartbeat.template, heartbeat.values, heartbeat.slots[_TEST_REQ_ID],
        test_request.template, test_request.values,
    )  # fmt: skip


@whole
def take_admin(
    line: Any, reader: Reader, writer: Writer, alive: Alive, length: int, now_ns: int, steady_ns: int
) -> int:
    """A message that `next_message` found: DONE when it was one of the two and is done with; NOT_OURS; FOR_PYTHON when
    it is one of the two in another form, or its answer did not go."""
    kind = type_of(line, reader)
    if kind != _HEARTBEAT and kind != _TEST_REQUEST:
        return NOT_OURS
    at, count = reader.found[BODY], reader.found[COUNT]  # at < count: the last token is 10
    has_id = reader.tokens[at].tag == _TEST_REQ_ID
    if has_id:
        at += 1
    if at != count - 1 or reader.tokens[at].tag != _CHECK_SUM:
        return FOR_PYTHON
    if kind == _HEARTBEAT:
        taken(line, length, steady_ns)
        return DONE
    if not has_id or reader.tokens[at - 1].length > TEST_REQ_ID_BYTES_MAX:
        return FOR_PYTHON
    values = alive.heartbeat_values
    values[alive.id_slot] = message_at(line) + reader.tokens[at - 1].offset
    values[alive.id_slot + 1] = int(reader.tokens[at - 1].length)
    line.next_in += 1  # in the answer's record it is taken
    if not give(line, writer, alive.heartbeat, values, now_ns, steady_ns, 1, -1):
        line.next_in -= 1
        return FOR_PYTHON
    line.next_in -= 1
    taken(line, length, steady_ns)
    return DONE


@whole
def keep_alive(line: Any, writer: Writer, alive: Alive, now_ns: int, steady_ns: int) -> bool:
    """What is due by the clock; False, and `why`: the row is for Python. Call it some times a second."""
    if line.heartbeat_ns == 0:
        return True
    silent_ns = steady_ns - line.received_ns
    if silent_ns >= line.gone_after_ns:
        line.why = _SILENT
        return False
    if line.asked != 0:
        return True
    if silent_ns >= line.test_after_ns:
        if not give(line, writer, alive.test_request, alive.test_request_values, now_ns, steady_ns, 1, -1):
            return False
        line.asked = 1
        return True
    if steady_ns - line.sent_ns >= line.heartbeat_ns:
        values = alive.heartbeat_values
        values[alive.id_slot] = ABSENT
        return give(line, writer, alive.heartbeat, values, now_ns, steady_ns, 1, -1)
    return True
