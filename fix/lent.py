"""An established session's numbers, clocks and bytes, on their way between `fix/durable.py` and compiled code."""

from __future__ import annotations

from typing import NamedTuple

from fix.session_config import SessionConfig


class Lent(NamedTuple):
    """`kept_in`: next_in as the store has it. `clocks`: as `KeepAlive.clocks`, of the steady clock. `rest`: what came
    and is not taken; `unsent`: what was stored and is not sent. `heartbeat_s`: as both Logons agreed."""

    next_in: int
    next_out: int
    kept_in: int
    store_fd: int
    store_size: int
    clocks: tuple[int, int, bool]
    state: bytes
    rest: bytes
    unsent: bytes
    heartbeat_s: int
    config: SessionConfig
