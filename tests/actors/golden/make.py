"""Makes the golden of the present format: a log in which every kind of command stands, a snapshot from its middle,
and what they must come to.

    python -m tests.actors.golden.make

All of it follows from the seed. What goldens are for, and when one is made: docs/adding.md.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from actors.snapshot import take, write_file
from actors.tables import R_COMMANDS, Capacity
from core import commands
from core.currencies import EUR
from core.records import (
    COMMAND_LAYOUTS,
    FIELDS_BYTES,
    LAYOUT_VERSION,
    RECORDS_VERSION,
    AccountState,
    BreakKind,
    CommandKind,
    ExecType,
    InstrumentState,
    Level,
    OrdStatus,
    OrdType,
    Side,
    Source,
    TimeInForce,
)
from core.units import cash_e6, price_e8, qty_e8
from shared_mem import log
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader, Record
from tests.actors.desk import ASK_E8, SEGMENT_BYTES, START_NS, Desk, account, deposit, instrument

FOLDER: Final = Path(__file__).parent
SEED: Final = 20261124
CAPACITY: Final = Capacity(accounts=16, instruments=8, positions=64, orders=256, cold=64, groups=16, cash=32)
# Enough for a second segment to be begun.
TRADES: Final = 220
NOISE: Final = 260

LOG_FILE: Final = "log.xz"
SNAPSHOT_FILE: Final = "snapshot"
EXPECTED_FILE: Final = "expected.json"
HOUR_NS: Final = 3600 * 10**9


def found_the_desk(desk: Desk) -> None:
    """Levels, tables, instruments, accounts and their money."""
    levels = [("Firm", Level.FIRM), ("Desk", Level.DESK), ("Advisor", Level.ADVISOR)]
    for above, (name, level) in enumerate(levels):
        desk.apply(commands.define_group(request_id=1, name=name, level=level, parent=above))
    for name in ("North", "South"):
        desk.apply(
            commands.define_group(
                request_id=1,
                name=name,
                level=Level.HOUSEHOLD,
                parent=3,
                max_open_notional_e6=cash_e6(500_000),
            )
        )
    bands = [(0, price_e8("0.01")), (price_e8(1), price_e8("0.05")), (price_e8(50), price_e8("0.10"))]
    for raw in commands.define_tick_table(request_id=1, table=1, bands=bands):
        desk.apply(raw)
    desk.apply(commands.define_lot_table(request_id=1, table=1, round_lot_e8=qty_e8(1), odd_lots=1))
    desk.apply(instrument("ACME", band_bps=2000))
    desk.apply(instrument("BETA", max_exposure_qty_e8=qty_e8(4000)))
    desk.apply(instrument("GAMMA", tick_table=1, lot_table=1, settle_days=2))
    desk.apply(instrument("EURO", currency=EUR))
    desk.apply(
        commands.set_reference_price(
            request_id=1, instrument=1, previous_close_e8=ASK_E8, reference_e8=ASK_E8
        )
    )
    for n in range(1, 7):
        desk.apply(account(f"TW{n:06}", household=4 + n % 2, settled_only=n == 6))
        desk.apply(deposit(cash_e6(1_000_000), account=n, reference=f"opening {n}"))
    desk.apply(deposit(cash_e6(5000), account=2, currency=EUR))
    desk.apply(deposit(-cash_e6(10), account=2, reference="paid out"))


def every_kind(desk: Desk) -> None:
    """Each kind of command at least once, where it does something."""
    placed = desk.do(order(1, "rests", tif=TimeInForce.GTD, expire_time_ns=START_NS + HOUR_NS)).order_id
    desk.report(placed, ExecType.NEW)
    desk.replace(placed, qty_e8=qty_e8(20))
    desk.accept_replace(placed)
    desk.report(placed, ExecType.TRADE, qty_e8(5), ASK_E8, exec_id="E-1")
    desk.correct(placed, "E-1", 4, ASK_E8)
    desk.report(placed, ExecType.TRADE, qty_e8(2), ASK_E8, exec_id="E-2")
    desk.bust(placed, "E-2")
    desk.break_found(BreakKind.QUANTITY, account=1, instrument=1, order_id=placed)
    desk.cancel(placed)
    desk.timer(CommandKind.ASK_STATUS, placed, START_NS)
    desk.report(placed, ExecType.CANCEL_REJECT)
    desk.timer(CommandKind.EXPIRE, placed, START_NS + HOUR_NS)
    desk.report(placed, ExecType.CANCELED)
    asked = desk.do(order(1, "asked about")).order_id
    desk.ask_venue(asked)
    desk.standing(asked, OrdStatus.PARTIALLY_FILLED, 3, ASK_E8)
    desk.fate_unknown(asked)
    desk.resolve(asked, ExecType.TRADE, 2, ASK_E8)
    desk.resolve(asked, ExecType.CANCELED)
    day = desk.do(order(2, "for the day")).order_id
    desk.timer(CommandKind.DAY_END, day, START_NS + HOUR_NS, account=2)
    desk.apply(commands.move_account(request_id=1, account=3, household=4))
    desk.apply(commands.set_account_state(request_id=1, account=4, state=AccountState.REDUCING))
    desk.apply(commands.set_instrument_state(request_id=1, instrument=2, state=InstrumentState.AUCTION))
    desk.apply(commands.set_instrument_state(request_id=1, instrument=2, state=InstrumentState.OPEN))
    desk.apply(commands.set_group_state(request_id=1, group=5, state=AccountState.HALTED))
    desk.apply(commands.set_group_state(request_id=1, group=5, state=AccountState.ACTIVE))
    desk.apply(commands.settle_day(request_id=1, date=20231115))
    desk.apply(commands.passivate(request_id=1, account=5))


def order(number: int, name: str, **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "source": Source.GATEWAY, "request_id": 3, "instrument": 1, "side": Side.BUY, "ord_type": OrdType.LIMIT,
        "tif": TimeInForce.DAY, "qty_e8": qty_e8(10), "price_e8": ASK_E8,
    }  # fmt: skip
    return commands.new_order(account=number, client_order_id=name, **{**values, **changes})


def trade(desk: Desk, dice: random.Random, first: int, count: int) -> list[int]:
    """Orders of all accounts, most of them filled or ended; the ids of those that were taken."""
    taken: list[int] = []
    for n in range(first, first + count):
        event = desk.do(
            order(
                dice.randrange(1, 7),
                f"client-{n}",
                instrument=dice.randrange(1, 4),
                side=dice.choice([Side.BUY, Side.BUY, Side.SELL]),
                ord_type=dice.choice([OrdType.LIMIT, OrdType.LIMIT, OrdType.MARKET]),
                tif=dice.choice([TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC]),
                qty_e8=qty_e8(dice.randrange(1, 30)),
                price_e8=ASK_E8,
            )
        )
        if event.reject_code:
            continue
        taken.append(event.order_id)
        if dice.random() < 0.7:
            desk.report(event.order_id, ExecType.TRADE, qty_e8(dice.randrange(1, 9)), event.route_price_e8)
        if dice.random() < 0.4:
            ending = dice.choice([ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED])
            desk.report(event.order_id, ending, text="the venue's word")
        if n % 50 == 0:
            desk.apply(commands.settle_day(request_id=1, date=20231116 + n // 50))
    return taken


def drawn(kind: CommandKind, dice: random.Random, order_ids: list[int]) -> bytes:
    """A command of this kind with fields drawn at random: mostly nonsense, which the actors refuse by name. So a kind
    that is new stands in the golden before anybody has written a story for it."""
    row = np.zeros(1, COMMAND_LAYOUTS[kind])
    codes = [0, 1, 2, 3, ord("0"), ord("1"), ord("2"), ord("4"), ord("F"), int(OrdStatus.NEW)]
    numbers = {"u1": codes, "u2": [0, 1, 2], "u4": list(range(7))}
    amounts = [0, 1, 10**6, 10**8, ASK_E8, qty_e8(50), START_NS]
    for name in row.dtype.names or ():
        size = row.dtype[name].str[1:]
        row[name] = dice.choice(numbers.get(size, amounts)) if name != "text" else b""
    text = f"text {dice.randrange(100)}" if dice.random() < 0.5 else ""
    row["kind"], row["source"], row["flags"] = kind, Source.ADMIN, 0
    row["lane_seq"], row["order_id"] = 0, dice.choice(order_ids)
    row["text_length"] = len(text)
    raw = bytearray(row.tobytes())
    raw[FIELDS_BYTES : FIELDS_BYTES + len(text)] = text.encode()
    return bytes(raw)


def records_of(desk: Desk) -> list[Record]:
    reader = LogReader(desk.log_dir, desk.run_dir, Reader.SNAPSHOTS)
    found: list[Record] = []
    while more := reader.read(4096):
        found += more
    reader.close()
    return found


def events_hash(records: list[Record]) -> str:
    digest = hashlib.sha256()
    for record in records:
        if record.kind >= log.KIND_CLOSING:
            digest.update(record.payload)
    return digest.hexdigest()


def make(folder: Path, scratch: Path) -> None:
    """Write a golden into `folder`. Nothing but the seed decides what is in it."""
    dice = random.Random(SEED)
    desk = Desk(scratch / "log", scratch / "run", CAPACITY)
    found_the_desk(desk)
    every_kind(desk)
    order_ids = trade(desk, dice, 0, TRADES)
    snapshot = take(desk.state)
    order_ids += trade(desk, dice, TRADES, TRADES)
    for n in range(NOISE):
        desk.apply(drawn(list(CommandKind)[n % len(CommandKind)], dice, order_ids))
    order_ids += trade(desk, dice, 2 * TRADES, TRADES // 4)
    desk.flusher.flush()
    end = desk.writer.position
    raw = b"".join(p.read_bytes() for p in sorted(desk.log_dir.glob("*.log")))[:end]
    records = records_of(desk)
    folder.mkdir(exist_ok=True)
    (folder / LOG_FILE).write_bytes(lzma.compress(raw))
    write_file(folder / SNAPSHOT_FILE, snapshot)
    expected = {
        "log_version": log.VERSION,
        "records_version": RECORDS_VERSION,
        "layout_version": LAYOUT_VERSION,
        "seed": SEED,
        "segment_bytes": SEGMENT_BYTES,
        "capacity": CAPACITY._asdict(),
        "end_position": end,
        "last_seq": records[-1].seq,
        "commands": int(desk.state.registers[R_COMMANDS]),
        "snapshot_seq": snapshot.seq,
        "state_hash": desk.hash(),
        "events_sha256": events_hash(records),
        "command_kinds": sorted({r.kind for r in records if r.kind < log.KIND_CLOSING}),
    }
    (folder / EXPECTED_FILE).write_text(json.dumps(expected, indent=1) + "\n")
    desk.close()


if __name__ == "__main__":
    made = FOLDER / f"v{LAYOUT_VERSION}"
    room = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        make(made, room)
    finally:
        shutil.rmtree(room)
