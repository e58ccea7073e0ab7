"""The hand-over of a row: a DurableSession lends its connection to compiled code and takes it back, at exactly a byte.

    lend(table, number, session, fd)      # False: not now; ask again
    ...                                   # compiled code works on the row, until it writes `why`
    why = take_back(table, number, session)

Both sides run in turns, never at once. What passes over: the numbers, the clocks (of the steady clock, which nobody
sets), the bytes that came and were not taken, those that were stored and not sent, the store's end, the state with its
cursor. Nothing else is remembered, so nothing is lost or doubled.
"""

from __future__ import annotations

import math
from typing import Literal

from fix.durable import DurableSession
from fix.line.row import COMPILED, PYTHON, RX_BYTES, STATE_BYTES, Table, Why
from fix.session_alive import GONE_AFTER, TEST_REQUEST_AFTER, Clocks
from fix.store import StoreError
from fix.timestamps import NS_PER_S


def lend(
    table: Table,
    number: int,
    session: DurableSession,
    fd: int,
    state: bytes = b"",
    cursor_at: int = 0,
    *,
    big: bool = False,
) -> bool:
    """Give the connection `fd` to compiled code. state: what is stored with each message, with the cursor in the eight
    bytes at `cursor_at`; none: the store's state stays as it is. False: the session is not established, not in step,
    has something under way, or is not of the kind that compiled code knows."""
    lent = session.lend() if len(state) <= STATE_BYTES else None
    if lent is None:
        return False
    if lent.store_size >= lent.store_limit or len(lent.rest) > RX_BYTES:
        session.take_back(lent)
        session.received(lent.rest)
        return False
    line = table.lines[number]
    table.name(number, session.key.sender, session.key.target)
    table.set_state(number, state, cursor_at, big)
    table.put_received(number, lent.rest)
    line["fd"], line["why"], line["tx_from"], line["tx_to"] = fd, Why.NOTHING, 0, 0
    line["next_in"], line["next_out"], line["kept_in"] = lent.next_in, lent.next_out, lent.kept_in
    line["store_fd"], line["store_size"] = lent.store_fd, lent.store_size
    line["store_limit"] = lent.store_limit
    line["generation"] = session.generation
    line["received_ns"], line["sent_ns"], line["asked"] = lent.clocks
    interval_ns = lent.heartbeat_s * NS_PER_S
    line["heartbeat_ns"] = interval_ns
    line["test_after_ns"] = math.ceil(TEST_REQUEST_AFTER * interval_ns)
    line["gone_after_ns"] = math.ceil(GONE_AFTER * interval_ns)
    line["skew_ns_max"] = lent.config.sending_time_skew_ns_max
    order: Literal["big", "little"] = "big" if big else "little"
    line["kept_cursor"] = int.from_bytes(state[cursor_at : cursor_at + 8], order)
    table.lent[number] = lent
    line["owner"] = COMPILED
    return True


def take_back(table: Table, number: int, session: DurableSession) -> Why:
    """The session goes on with the row, and is fed what compiled code has left unread; why that stopped. The caller
    closes a connection that has ended (`session.disconnected`). Raises StoreError when the store had failed."""
    line = table.lines[number]
    why = Why(int(line["why"]))
    line["owner"] = PYTHON
    if why is Why.STORE:
        raise StoreError(
            f"an append to the store of {session.key.target} failed; the disk is full, or failing"
        )
    state = table.kept_state(number) or session.state
    lent = table.lent.pop(number)._replace(
        next_in=int(line["next_in"]),
        next_out=int(line["next_out"]),
        kept_in=int(line["kept_in"]),
        store_size=int(line["store_size"]),
        clocks=Clocks(int(line["received_ns"]), int(line["sent_ns"]), bool(line["asked"])),
        state=state,
        rest=table.received(number),
        unsent=table.unsent(number),
    )
    session.take_back(lent)
    session.received(lent.rest)
    return why
