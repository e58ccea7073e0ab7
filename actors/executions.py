"""Which fills are booked: a venue that tells one twice is known by its ExecID, and a bust finds what it undoes.

Always holds: an execution is named by its order and 64 bits of its ExecID (`ids.exec_hash`), so an ExecID need be
unique only within its order. The newest `Capacity.executions` stand; an older one is no longer known, whether its
order is open or not: a million fills ago. Only a venue's reports touch these tables; a new order never does.

The rows are a ring, and each bucket's newest row leads to the next older one of its bucket; a link to a row that has
been used again ends the chain. So nothing is ever taken out.
"""

from __future__ import annotations

from actors.tables import R_EXECUTIONS, State, mix
from shared_mem.jit import jit


@jit
def bucket_of(state: State, order_id: int, exec_hash: int) -> int:
    return mix(exec_hash ^ mix(order_id)) & (len(state.execution_heads) - 1)


@jit
def find_execution(state: State, order_id: int, exec_hash: int) -> int:
    """Row of the order's execution with this hash, also of one that was undone; -1 when it is not known."""
    mask = len(state.executions) - 1
    total = state.registers[R_EXECUTIONS]
    link = int(state.execution_heads[bucket_of(state, order_id, exec_hash)])
    while link > 0 and total - link < len(state.executions):
        row = (link - 1) & mask
        found = state.executions[row]
        if found.order_id == order_id and found.exec_hash == exec_hash:
            return row
        link = link - int(found.back) if found.back != 0 else 0
    return -1


@jit
def remember_execution(
    state: State,
    order_id: int,
    exec_hash: int,
    qty_e8: int,
    px_e8: int,
    cost_e6: int,
    realized_e6: int,
    due: int,
    seq: int,
) -> None:
    """A fill that has been booked. cost, realized: what it added to those of the position; due: `buying.settles_at`;
    seq: of the event that tells it.
    One without an ExecID (hash 0) can't be named again."""
    if exec_hash == 0:
        return
    number = state.registers[R_EXECUTIONS]
    bucket = bucket_of(state, order_id, exec_hash)
    row = state.executions[number & (len(state.executions) - 1)]
    row.order_id = order_id
    row.exec_hash = exec_hash
    head = state.execution_heads[bucket]
    row.back = number + 1 - head if head != 0 and number - head < len(state.executions) else 0
    row.qty_e8 = qty_e8
    row.px_e8 = px_e8
    row.cost_e6 = cost_e6
    row.realized_e6 = realized_e6
    row.due = due
    row.seq = seq
    state.execution_heads[bucket] = number + 1
    state.registers[R_EXECUTIONS] = number + 1


@jit
def chain_executions(state: State) -> None:
    """The buckets again, from the rows; the links stand in the rows."""
    total = state.registers[R_EXECUTIONS]
    mask = len(state.executions) - 1
    for number in range(max(total - len(state.executions), 0), total):
        row = state.executions[number & mask]
        state.execution_heads[bucket_of(state, int(row.order_id), int(row.exec_hash))] = number + 1
