"""An established session's numbers, clocks and bytes, on their way between `fix/durable.py` and compiled code."""

from __future__ import annotations

from typing import NamedTuple

from fix.session_alive import Clocks
from fix.session_config import SessionConfig


class Lent(NamedTuple):
    """`kept_in`: next_in as the store has it. `clocks`: of the steady clock. `store_limit`: the bytes
    that its file may have. `rest`: what came
    and is not taken; `unsent`: what was stored and is not sent. `heartbeat_s`: as both Logons agreed."""

    next_in: int
    next_out: int
    kept_in: int
    store_fd: int
    store_size: int
    store_limit: int
    clocks: Clocks
    state: bytes
    rest: bytes
    unsent: bytes
    heartbeat_s: int
    config: SessionConfig
