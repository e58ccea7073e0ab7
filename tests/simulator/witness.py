"""A witness of the recording: reads the file by itself, with nothing of ours, and judges each fill we were
given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import databento_dbn as dbn

from core.records import Side
from fix.simulator.orders import Report
from fix.simulator.words import ExecType


class Witness:
    """The recorded orders after each record: id -> (side, price_e8, size in lots, index it queued at)."""

    def __init__(self, path: Path) -> None:
        packed: Any = dbn.Compression.ZSTD
        decoder = dbn.DBNDecoder(compression=packed)
        decoder.write(path.read_bytes())
        self.records = [record for record in decoder.decode() if isinstance(record, dbn.MBOMsg)]
        self.orders: dict[int, tuple[str, int, int, int]] = {}
        self.levels: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
        self.used: dict[int, int] = {}  # lots of an order that we were given, since it queued

    def apply(self, index: int) -> None:
        record = self.records[index]
        action, side, order_id, size = str(record.action), str(record.side), record.order_id, record.size
        before = self.orders.get(order_id)
        if action in ("A", "M"):
            price_e8 = record.price // 10
            kept = before is not None and before[:2] == (side, price_e8) and size <= before[2]
            self.orders[order_id] = (side, price_e8, size, before[3] if kept and before else index)
            if before is not None:
                self.levels[before[:2]].discard(order_id)
            self.levels[side, price_e8].add(order_id)
            if not kept:
                self.used.pop(order_id, None)
        elif action == "C" and before is not None:
            if size < before[2]:
                self.orders[order_id] = (*before[:2], before[2] - size, before[3])
            else:
                del self.orders[order_id]
                self.levels[before[:2]].discard(order_id)
                self.used.pop(order_id, None)

    def judge(self, reports: Iterable[Report]) -> tuple[int, int]:
        """Goes through the file and holds each fill against what stood there. Returns how many met the other
        side, and how many came of our place in the queue."""
        by_index: defaultdict[int, list[Report]] = defaultdict(list)
        arrived: dict[str, int] = {}
        for report in reports:
            if report.exec_type is ExecType.NEW:
                arrived[report.order_id] = report.recording_index
            elif report.exec_type is ExecType.TRADE:
                by_index[report.recording_index].append(report)
        swept = queued = 0
        for index in range(len(self.records)):
            self.apply(index)
            for report in by_index.get(index, ()):
                side, price_e8, size, queued_at = self.orders[report.recorded_order_id]
                assert price_e8 == report.last_px_e8, "the recorded order stood at another price"
                assert report.last_qty_e8 % 10**8 == 0
                used = self.used.get(report.recorded_order_id, 0) + report.last_qty_e8 // 10**8
                assert used <= size, "more was given than stood there"
                self.used[report.recorded_order_id] = used
                if (side == "A") == (report.side is Side.BUY):
                    self._is_best(report)
                    swept += 1
                else:
                    assert price_e8 == report.price_e8
                    assert queued_at > arrived.get(report.order_id, 0), "it stood before us"
                    assert str(self.records[index].action) == "F"
                    queued += 1
        return swept, queued

    def _is_best(self, report: Report) -> None:
        """Nothing better of the other side was left when we got this."""
        sign = 1 if report.side is Side.BUY else -1
        other = "A" if report.side is Side.BUY else "B"
        for (side, price_e8), order_ids in self.levels.items():
            if side == other and sign * price_e8 < sign * report.last_px_e8:
                left = [i for i in order_ids if self.used.get(i, 0) < self.orders[i][2]]
                assert not left, "a better price was passed over"
