"""Touching pages before the shard's thread needs them: a first touch costs a page fault, five orders' time each.

Always holds: only page tables change here. The rows stay what they are, whoever writes them meanwhile.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from actors.tables import R_ORDERS, R_POSITIONS, Array, State
from shared_mem.segment import NoRoom, Segment

_log: Final = logging.getLogger(__name__)

# How far in front of the last row in use pages are touched: what a shard that takes 300,000 orders a second fills in
# the third of a second between two looks.
AHEAD_BYTES: Final = 16 << 20
LOOK_S: Final = 0.3

# Rows that are taken one behind the other, with the register that counts them.
_GROWING: Final = (("orders", R_ORDERS), ("order_texts", R_ORDERS), ("positions", R_POSITIONS))
# These are touched at random places from the first order on.
_SCATTERED: Final = ("position_index", "order_index", "client_index", "account_index")


class Ahead:
    """A thread beside the shard's. Stops at once when told to."""

    def __init__(self, segment: Segment, state: State) -> None:
        self._segment = segment
        self._state = state
        self._touched = {name: 0 for name, _ in _GROWING}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pages", daemon=True)

    def prepare(self, orders: int = 0) -> None:
        """Touch what a recovery will need, which has at most so many orders to apply. Raises NoRoom."""
        for name in _SCATTERED:
            table: Array = getattr(self._state, name)
            self._touch(table, 0, table.nbytes)
        self.look(orders)

    def start(self) -> None:
        self._thread.start()

    def look(self, orders: int = 0) -> None:
        """Touch what the tables will need next, so many orders and then some."""
        for name, register in _GROWING:
            table: Array = getattr(self._state, name)
            rows = int(self._state.registers[register]) + (orders if register == R_ORDERS else 0)
            used = rows * (table.nbytes // len(table))
            wanted = min(used + AHEAD_BYTES, table.nbytes)
            if wanted > self._touched[name]:
                self._touch(table, self._touched[name], wanted)
                self._touched[name] = wanted

    def _touch(self, table: Array, begin: int, end: int) -> None:
        offset = int(table.ctypes.data) - self._segment.address
        self._segment.prefault(offset + begin, end - begin)

    def _run(self) -> None:
        try:
            while not self._stop.wait(LOOK_S):
                self.look()
        except NoRoom as error:
            _log.error(
                "memory for the shard's tables runs out: %s", error
            )  # the shard goes on as far as it gets

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
