"""A FIX client of the desk that is never killed: what it sent, what it was told, and every byte of its wire.

It runs in a thread of its own, so that the orders go on while the processes that serve them die.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import defaultdict
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

from fix.codec import Message
from fix.durable import DurableSession, Outgoing
from fix.initiator import Initiator, Line
from fix.profiles.profile import Host
from fix.session import Role, SessionConfig
from fix.tags import MsgType, Tag
from tests.acceptance.wire import Relay
from tests.stack import Stack

# FIX ExecType (150) of the first report about an order.
ACCEPTED = ("A", "0")
REJECTED = "8"
# Orders that may be without an answer: a client that goes on sending to a desk that is away only makes a queue.
UNANSWERED_MAX = 40


class FixTrader:
    """One session with the demo account's key. `told`: messages of the application, in the order they came."""

    SYMBOLS = ("KO", "PFE", "BAC")

    def __init__(self, stack: Stack, folder: Path, pause_s: float, seed: int) -> None:
        self.relay = Relay()
        self.relay.target = stack.fix
        self.sent: list[str] = []
        self.told: list[Message] = []
        self._pause_s = pause_s
        self._dice = random.Random(seed)
        self._name = uuid4().hex[:8]
        self._numbers = count(1)
        self._is_sending = True
        self._logon = ((int(Tag.Username), stack.key_id), (int(Tag.Password), stack.secret_key))
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fix-trader", daemon=True)
        self._failures: list[BaseException] = []

    # --- the application of its session -----------------------------------------------------------------

    def on_logon(self, session: DurableSession) -> None: ...

    def on_logout(self, session: DurableSession) -> None: ...

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        self.told.append(message)
        return []

    # --- what a test does with it -----------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop_sending(self) -> None:
        """Its session stays on, so that it is told what it has not heard yet."""
        self._is_sending = False

    def close(self) -> None:
        """Logs out. Raises what went wrong in its thread."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()
        self.relay.close()
        if self._failures:
            raise self._failures[0]

    def answers(self) -> dict[str, str]:
        """{ClOrdID: ExecType of the first report about it}."""
        first: dict[str, str] = {}
        for message in list(self.told):
            if message.type == MsgType.ExecutionReport:
                first.setdefault(message.require(Tag.ClOrdID), message.require(Tag.ExecType))
        return first

    def has_every_answer(self) -> bool:
        return set(self.sent) <= set(self.answers())

    def exec_ids_told_twice(self) -> list[str]:
        times: defaultdict[str, int] = defaultdict(int)
        for message in self.told:
            if message.type == MsgType.ExecutionReport:
                times[message.require(Tag.ExecID)] += 1
        return sorted(exec_id for exec_id, n in times.items() if n > 1)

    # --- its thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as failure:  # it is raised where the test is, by `close`
            self._failures.append(failure)

    async def _live(self) -> None:
        self._ending = asyncio.Event()
        host, _, port = self.relay.address.rpartition(":")
        config = SessionConfig("CLIENT", "TRADEWIND", Role.INITIATOR, logon_fields=self._logon)
        initiator = Initiator(self._folder, config, self, Line((Host(host, int(port)),)))
        running = asyncio.create_task(initiator.run())
        sending = asyncio.create_task(self._send(initiator.session))
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait((running, sending, ending), return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        running.cancel()
        await asyncio.gather(sending, running, return_exceptions=True)
        await initiator.close()
        for task in (running, sending):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _send(self, session: DurableSession) -> None:
        while True:
            await asyncio.sleep(self._pause_s)
            if self._is_sending and len(self.sent) - len(self.answers()) < UNANSWERED_MAX:
                session.send([self._order()])

    def _order(self) -> Outgoing:
        name = f"{self._name}-{next(self._numbers)}"
        self.sent.append(name)
        return MsgType.NewOrderSingle, [
            (Tag.ClOrdID, name),
            (Tag.HandlInst, "1"),
            (Tag.Symbol, self._dice.choice(self.SYMBOLS)),
            (Tag.Side, self._dice.choice("112")),
            (Tag.OrderQty, str(self._dice.randint(1, 20))),
            (Tag.OrdType, "1"),
            (Tag.TimeInForce, "0"),
            (Tag.TransactTime, datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]),
        ]
