"""The recording as the judge of fills: what stood in the recorded book, order by order, at each record of the file.

The book is made from the file by databento_dbn and the plain Python of tests/simulator/witness.py; nothing of
marketdata/ or of the simulator has a part in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.wire import Fields, Fill, Wire, _fill
from tests.simulator.witness import Witness

# No machine replays a pass of 68,792 records in less: that is 7 µs for a record that Python takes apart twice.
# After a longer silence on the wire the file may be one pass further on, with every recorded order whole again.
PASS_MIN = timedelta(seconds=0.5)

E8 = 10**8


class Verdict(NamedTuple):
    swept: int  # fills against the other side
    queued: int  # fills by our place in a queue
    shared: int  # recorded orders that more than one fill was taken from
    records: int  # of the recording, between the first and last report of each pass
    passes: int


def passes(wire: Wire) -> list[tuple[int, Fields]]:
    """Every report with the number of its pass: the index goes back when the recording begins again."""
    found, number, last, at = [], 0, 0, None
    for report in wire.reports:
        index = int(report[20001])
        time = datetime.strptime(report[60][:24], "%Y%m%d-%H:%M:%S.%f")
        if index < last or (at is not None and time - at >= PASS_MIN):
            number += 1
        last, at = index, time
        found.append((number, report))
    return found


def judge(path: Path, wire: Wire) -> Verdict:
    """Goes through the file once and holds each fill against what stood there, with what was left of it."""
    witness = Witness(path)
    reports = passes(wire)
    by_index: defaultdict[int, list[tuple[int, Fill]]] = defaultdict(list)
    arrived: dict[str, tuple[int, int]] = {}
    span: dict[int, tuple[int, int]] = {}
    for number, report in reports:
        index = int(report[20001])
        span[number] = (span.get(number, (index, index))[0], index)
        if report[150] == "0":
            arrived[report[11]] = (number, index)
        elif report[150] == "F":
            by_index[index].append((number, _fill(report)))
    used: Counter[tuple[int, int, int]] = Counter()
    fills: Counter[tuple[int, int, int]] = Counter()
    printed: Counter[tuple[int, int]] = Counter()
    swept = queued = 0
    for index, record in enumerate(witness.records):
        witness.apply(index)
        for number, fill in by_index.pop(index, ()):
            assert fill.recorded_order_id in witness.orders, f"no such order stood in the book: {fill}"
            side, price_e8, size, queued_at = witness.orders[fill.recorded_order_id]
            assert price_e8 == fill.price * E8, f"it stood at {price_e8}: {fill}"
            key = (number, fill.recorded_order_id, queued_at)
            used[key] += int(fill.qty)
            fills[key] += 1
            assert fill.qty == int(fill.qty) > 0
            assert used[key] <= size, f"{used[key]} taken of an order of {size}: {fill}"
            if (side == "A") == (fill.side == "1"):
                swept += 1
                better = fill.price <= fill.limit if fill.side == "1" else fill.price >= fill.limit
                assert better, f"worse than its limit: {fill}"
            else:
                queued += 1
                assert fill.price == fill.limit
                assert (str(record.action), record.order_id) == ("F", fill.recorded_order_id)
                printed[number, index] += int(fill.qty)
                assert printed[number, index] <= record.size
                pass_of, place = arrived[fill.cl_ord_id]
                assert pass_of != number or queued_at > place, f"it stood before us: {fill}"
    assert not by_index, f"fills after the end of the file: {by_index}"
    return Verdict(
        swept,
        queued,
        sum(count > 1 for count in fills.values()),
        sum(last - first for first, last in span.values()),
        len(span),
    )
