"""One side of the FIX soak (`loadtests/fix_soak.py`) in a process of its own, made to be killed at any moment.

    python -m loadtests.soak_side acceptor|initiator FOLDER PORT RATE NAME...

For each NAME there is a session NAME -> VENUE. The initiators send `RATE` orders a second in each session, the
acceptor answers each with a report and sends reports of its own at the same rate; now and then there is a burst. The
messages of a session are numbered in ClOrdID (11), in each direction from 0, and how far both are is the session's
state: stored in one append with the message sent or taken. So a message that came twice, never, or before another one
is seen by the next one that comes. Every half second a line of JSON says how far each session is, and what was
wrong. The word "quiet" on stdin ends the sending, "end" logs out and ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import uvloop

from fix import timestamps
from fix.acceptor import Acceptor, only
from fix.codec import Message
from fix.durable import DurableSession, Outgoing
from fix.initiator import Initiator, Line
from fix.profiles.profile import Host
from fix.session import Role, SessionConfig
from fix.tags import MsgType, Tag

VENUE: Final = "VENUE"
HEARTBEAT_S: Final = 2
STATUS_S: Final = 0.5
# One turn in so many sends so many messages at once: what a slow peer and a resend in pieces see.
BURST_EVERY: Final = 200
BURST: Final = 100
# The first ones tell what is wrong; a fault that goes on would fill the memory whose size is watched.
FAULTS_MAX: Final = 20

_COUNTS: Final = struct.Struct("<QQQ")


class Counts(NamedTuple):
    """Of one session: messages sent, messages heard, MsgSeqNum of the last one heard."""

    sent: int
    heard: int
    heard_seq: int

    @classmethod
    def of_bytes(cls, state: bytes) -> Counts:
        return cls(*_COUNTS.unpack(state)) if state else cls(0, 0, 0)

    @property
    def raw(self) -> bytes:
        return _COUNTS.pack(*self)


class Counting:
    """The application of both sides: the initiators' sends orders, the acceptor's reports."""

    def __init__(self, make: Callable[[int], Outgoing], answers: bool) -> None:
        self.faults: list[str] = []
        self.is_quiet = False
        self._make = make
        self._answers = answers

    def on_logon(self, session: DurableSession) -> None: ...

    def on_logout(self, session: DurableSession) -> None: ...

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        counts = Counts.of_bytes(session.state)
        number = message.get(Tag.ClOrdID)
        if number != str(counts.heard):
            self._fault(session, f"message {counts.heard} was due, and {number} came: {message!r}")
        if message.seq <= counts.heard_seq:
            self._fault(session, f"MsgSeqNum {message.seq} came behind {counts.heard_seq}")
        answers = [self._make(counts.sent)] if self._answers else []
        counts = Counts(counts.sent + len(answers), counts.heard + 1, message.seq)
        session.remember(counts.raw)
        return answers

    def send(self, session: DurableSession, count: int) -> None:
        counts = Counts.of_bytes(session.state)
        messages = [self._make(counts.sent + i) for i in range(count)]
        session.send(messages, state=counts._replace(sent=counts.sent + count).raw)

    def _fault(self, session: DurableSession, text: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(f"{session.key.sender} to {session.key.target}: {text}")


def order(number: int) -> Outgoing:
    return MsgType.NewOrderSingle, [
        (Tag.ClOrdID, str(number)),
        (Tag.HandlInst, "1"),
        (Tag.OrderQty, "10"),
        (Tag.OrdType, "2"),
        (Tag.Price, "99.5"),
        (Tag.Side, "1"),
        (Tag.Symbol, "AAPL"),
        (Tag.TimeInForce, "0"),
        (Tag.TransactTime, timestamps.format_ns(0)),
    ]


def report(number: int) -> Outgoing:
    return MsgType.ExecutionReport, [
        (Tag.OrderID, "7"),
        (Tag.ClOrdID, str(number)),
        (Tag.ExecID, f"E{number}"),
        (Tag.ExecType, "0"),
        (Tag.OrdStatus, "0"),
        (Tag.Symbol, "AAPL"),
        (Tag.Side, "1"),
        (Tag.LeavesQty, "10"),
        (Tag.CumQty, "0"),
        (Tag.AvgPx, "0"),
    ]


async def acceptor(folder: Path, port: int, rate: float, names: list[str]) -> None:
    application = Counting(report, answers=True)
    runner = Acceptor(folder, VENUE, application, only(set(names)))
    sessions = [runner.open_session(name) for name in names]
    await runner.listen("127.0.0.1", port)
    running = [asyncio.create_task(runner.run())]
    await _until_told(application, sessions, rate, running)
    await runner.close()


async def initiators(folder: Path, port: int, rate: float, names: list[str]) -> None:
    application = Counting(order, answers=False)
    line = Line((Host("127.0.0.1", port),))
    runners = [
        Initiator(
            folder / name,
            SessionConfig(name, VENUE, Role.INITIATOR, heartbeat_s=HEARTBEAT_S),
            application,
            line,
        )
        for name in names
    ]
    running = [asyncio.create_task(runner.run()) for runner in runners]
    await _until_told(application, [runner.session for runner in runners], rate, running)
    await asyncio.gather(*(runner.close() for runner in runners))


async def _until_told(
    application: Counting, sessions: list[DurableSession], rate: float, running: list[asyncio.Task[None]]
) -> None:
    """Sends and says how it goes, until the word "end". Raises what a runner raises."""
    words = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    sending = asyncio.create_task(_send(application, sessions, rate))
    telling = asyncio.create_task(_tell(application, sessions))
    endless = [*running, sending, telling]
    listening = asyncio.create_task(_listen(words, application))
    await asyncio.wait([*endless, listening], return_when=asyncio.FIRST_COMPLETED)
    for task in endless:
        if task.done():
            task.result()  # it has failed
        task.cancel()


async def _listen(words: asyncio.StreamReader, application: Counting) -> None:
    while word := await words.readline():
        if word == b"quiet\n":
            application.is_quiet = True
        if word == b"end\n":
            return


async def _send(application: Counting, sessions: list[DurableSession], rate: float) -> None:
    rng = Random(len(sessions))
    while True:
        for session in sessions:
            if not application.is_quiet:
                application.send(session, BURST if rng.randrange(BURST_EVERY) == 0 else 1)
            await asyncio.sleep(1 / rate / len(sessions))


async def _tell(application: Counting, sessions: list[DurableSession]) -> None:
    while True:
        how = {
            session.key.target if session.key.sender == VENUE else session.key.sender: [
                *Counts.of_bytes(session.state)[:2],
                session.is_logged_on,
            ]
            for session in sessions
        }
        sys.stdout.write(json.dumps({"sessions": how, "faults": application.faults}) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(STATUS_S)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    role, where, port_text, rate_text, *whom = sys.argv[1:]
    work = acceptor if role == "acceptor" else initiators
    uvloop.run(work(Path(where), int(port_text), float(rate_text), whom))
