"""What stands between client and venue in loadtests/wire.py when it is ours: a shard with its FIX sessions on it.

Measured: `gateways/direct/desk.py` as it is, its loop pinned to core 1: the client's FIX session, all checks, the log
at gate `written`, the store's append and the venue's session, and back. One account, one client, one venue.
Excluded: the flusher, for there is no third core (the log's tail has room for a round). The stores' appends are made,
into files.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from actors.shard import Lane
from actors.view import StateView
from fix.acceptor import Acceptor
from fix.codec import Framer, encode, parse
from fix.dictionary import load
from fix.durable import DurableSession
from fix.inquiry import Inquiry
from fix.order_bodies import OrderBodies
from fix.order_router import OrderRouter
from fix.session import Role, SessionConfig
from fix.store import Store
from fix.timestamps import format_ns
from gateways.direct.desk import DirectDesk
from gateways.fix_door import FixDoor
from gateways.fix_rules import FixRules, client_sessions
from gateways.order_events import account_text_of, symbol_of
from loadtests import wire
from loadtests.desk import Desk, power_of_two, tables
from loadtests.measure import Row, pin
from loadtests.wire import (
    CLIENT,
    DESK,
    RELAY,
    VENUE,
    Ways,
    connected,
    connections,
    measured,
    relays,
    rounds,
    rows,
)  # fmt: skip

SCRATCH_DIR: Final = Path("bench-results")
OURS: Final = "desk"
# Logons and their answers, before the first order.
LOGON_S: Final = 60.0
INSTRUMENTS: Final = 64
# After the Logon, both peers' next MsgSeqNum.
FIRST_SEQ: Final = 2


class Street:
    """A desk of its own, in scratch folders, until `close`."""

    def __init__(self) -> None:
        SCRATCH_DIR.mkdir(exist_ok=True)
        self._memory = tempfile.TemporaryDirectory(dir="/dev/shm")
        self._disk = tempfile.TemporaryDirectory(dir=SCRATCH_DIR, prefix="wire.")
        folder = Path(self._disk.name)
        most = power_of_two(2 * (wire.ORDERS + wire.WARM_UP))
        capacity = tables(orders=most, instruments=power_of_two(INSTRUMENTS))
        self._market = Desk(Path(self._memory.name), capacity, log_dir=folder / "log")
        self._market.open_market(1, INSTRUMENTS, in_households=False)
        shard = self._market.shard
        view = StateView.attach(self._market.run_dir)
        self.symbol = symbol_of(view, 1)
        self._door = FixDoor(
            shard=0,
            authenticate=lambda _key, _secret: 1,
            rules_of=lambda _key: FixRules(messages=1_000_000),
            view=view,
            orders=shard.lanes[Lane.ORDERS_FIX_DOOR],
            cancels=shard.lanes[Lane.CANCELS_FIX_DOOR],
        )
        self._acceptor = Acceptor(
            folder / "clients", DESK, self._door, self._door.admit, configure=client_sessions(DESK)
        )
        self._door.attach(self._acceptor)
        self._door.begin_at(shard.writer.tail.written)
        router = OrderRouter(
            0,
            shard.lanes[Lane.REPORTS_VENUE],
            lambda number: symbol_of(view, number),
            lambda number: account_text_of(view, number),
            OrderBodies(load("FIX.4.4")),
            Inquiry(0, list, lambda _: True, by_mass=False),
        )
        self._at_client = self._acceptor.open_session(CLIENT)
        config = SessionConfig(DESK, VENUE, Role.INITIATOR)
        self._at_venue = DurableSession(config, Store(folder / "venue"), router)
        self._desk = DirectDesk(shard, folder / "log", self._door, router)
        self._desk.stop()
        self._desk.run()  # compiled, or loaded, before anybody waits

    def start(self, client_port: int, venue_port: int) -> Callable[[], None]:
        """As loadtests/wire.py's Between."""
        client, venue = connected(client_port), connected(venue_port)

        def serve() -> None:
            pin(1)
            self._door.admit(self._at_client.key, parse(logon(CLIENT)))
            self._desk.connect(self._at_venue, venue, is_venue=True)  # first: it hears of an order first
            self._desk.connect(self._at_client, client)
            while self._desk.connected > 0:
                self._desk.turn()
                if self._desk.lent == 2:
                    self._desk.run()
                else:
                    self._desk.round()

        thread = threading.Thread(target=serve, name="desk")
        thread.start()
        return thread.join

    def close(self) -> None:
        self._desk.close()
        self._at_client.close()
        self._at_venue.close()
        self._market.close()
        self._memory.cleanup()
        self._disk.cleanup()


def logon(sender: str) -> bytes:
    header = [(35, "A"), (34, "1"), (49, sender), (52, format_ns(time.time_ns())), (56, DESK)]
    return encode("FIX.4.4", [*header, (98, "0"), (108, "30"), (553, "KEY"), (554, "SECRET")])


def _log_on(end: socket.socket, sender: str) -> None:
    """The peer's Logon, and the desk's, in whichever order."""
    fields = parse(logon(sender)).fields[2:-1]
    end.sendall(
        encode("FIX.4.4", [field for field in fields if sender == CLIENT or field[0] not in (553, 554)])
    )
    end.settimeout(LOGON_S)
    framer = Framer()
    while framer.next_frame() is None:
        framer.feed(end.recv(4096))
    assert framer.rest() == b"", "a Logon and nothing else"
    end.settimeout(None)


def through_the_desk() -> Ways:
    """One round, on a desk of its own."""
    street = Street()
    try:
        with connections(street.start) as ends:
            for end, sender in zip(ends, (CLIENT, VENUE), strict=True):
                _log_on(end, sender)
            return measured(ends, street.symbol, acks=1, first=FIRST_SEQ)
    finally:
        street.close()


def bench() -> list[Row]:
    """The desk and both relays, in turns."""
    found = rounds({OURS: through_the_desk, **relays()})
    return [
        *rows(found, OURS, "", "all checks, gate written"),
        *rows(found, RELAY, "relay_", "bytes moved only, compiled from Python"),
    ]
