"""kill -9 of any process of a running desk, the supervisor too, at random times under load; then all books are
audited.

The parent is never killed. It sends orders by REST and by FIX and keeps what it sent and what it was answered; two
relays keep every byte to the venue and from the FIX client. What must hold once all is at rest: an acknowledged
order exists once, nothing exists that was not sent, replays give the living state, money and positions are what the
wire says, Postgres, JetStream, mails and log agree, no FIX sequence number and no ExecID was used twice.

Every random choice comes from one seed. Which instruction a kill meets does not: a seed is a kind of run, not a
replay.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from app.status import Identity
from core import commands
from core.records import CommandKind
from tests.acceptance import audit
from tests.acceptance.audit import Log
from tests.acceptance.desk import NO_ANSWER, OrderFlow, Trader, eventually
from tests.acceptance.wire import Fields, Relay, Wire
from tests.faults.fix_trader import ACCEPTED, REJECTED, FixTrader
from tests.stack import Stack, free_port_base

SUPERVISOR = "supervisor"
# Between two kills, in seconds on average: many fall on a process that is only starting.
BETWEEN_S = 0.8
# How long the rest trades on without a supervisor, at most.
ALONE_S = 2.0
READY_S = 240.0
REST_HANDS = 2


class Result(msgspec.Struct):
    """One campaign. `findings`: what did not hold, with its words; empty when all did."""

    seed: int
    kills: dict[str, int]
    rest_sent: int
    rest_acknowledged: int
    rest_unknown: int
    fix_sent: int
    fix_acknowledged: int
    records: int
    seconds: float
    findings: list[str]

    @property
    def killed(self) -> int:
        return sum(self.kills.values())


class Hands(OrderFlow):
    """People at the page: slower than programs, so that a loaded machine is not tested for its speed."""

    PAUSE_S = 0.05


class Campaign:
    """One stack, those who trade on it, and who is killed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.seed = seed
        self.kills: Counter[str] = Counter()
        self.venue_wire = Relay()
        base = free_port_base()
        self.venue_wire.target = ("127.0.0.1", base + 2)
        self.stack = Stack(folder / "data", base, {"venue_address": self.venue_wire.address})
        self._folder = folder

    def run(self, kills: int) -> Result:
        begun = time.monotonic()
        self.stack.start()
        self.trader = Trader(self.stack)
        eventually(lambda: all(map(self.trader.has_quote, Hands.SYMBOLS)), "first quotes")
        self.fix = FixTrader(self.stack, self._folder / "client", Hands.PAUSE_S, self.seed)
        self.fix.start()
        findings = []
        try:
            with self._orders_flow():
                while self.kills.total() < kills:
                    time.sleep(self.dice.uniform(0, 2 * BETWEEN_S))
                    self._kill_one()
                self._until_ready()
                time.sleep(1)  # orders on the mended desk
                self.fix.stop_sending()
            self._come_to_rest()
            findings = self._audit()
        finally:
            self.fix.close()
        answers = Counter(self.trader.answers.values())
        accepted = sum(kind in ACCEPTED for kind in self.fix.answers().values())
        return Result(
            self.seed,
            dict(sorted(self.kills.items())),
            answers.total(),
            answers[200],
            answers[NO_ANSWER] + answers[503],
            len(self.fix.sent),
            accepted,
            len(Log(self.stack).records),
            round(time.monotonic() - begun, 1),
            findings,
        )

    def discard(self) -> None:
        self.stack.discard()
        self.venue_wire.close()

    # --- the killing -------------------------------------------------------------------------------------

    def _status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.stack.data_dir / "run" / "status.json").read_text())
        return found

    def _kill_one(self) -> None:
        status = self._status()
        alive = {p["name"]: p["pid"] for p in status["processes"] if p["pid"]}
        alive[SUPERVISOR] = status["supervisor"]["pid"]
        victim = self.dice.choice(sorted(alive))
        self._kill(victim, alive[victim])
        if victim == SUPERVISOR:
            time.sleep(self.dice.uniform(0, ALONE_S))
            if self.dice.random() < 0.5:  # and one of those that nobody looks after now
                name = self.dice.choice(sorted(set(alive) - {SUPERVISOR}))
                self._kill(name, alive[name])
            self.stack.start()

    def _kill(self, name: str, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills[name] += 1

    def _until_ready(self) -> None:
        def is_ready() -> bool:
            status = self._status()
            supervisor = Identity(**status["supervisor"])
            return bool(status["ready"]) and supervisor.alive()

        deadline = time.monotonic() + READY_S
        while not is_ready():
            assert time.monotonic() < deadline, f"not ready: {self._status()}\n{self.stack.log_tails()}"
            time.sleep(0.1)

    @contextmanager
    def _orders_flow(self) -> Iterator[None]:
        flow, stopped = Hands(self.trader), threading.Event()
        with ThreadPoolExecutor(REST_HANDS) as threads:
            seeds = [self.dice.randrange(1 << 32) for _ in range(REST_HANDS)]
            hands = [threads.submit(flow.hand, seed, stopped) for seed in seeds]
            try:
                yield
            finally:
                stopped.set()
            for hand in hands:
                hand.result()

    # --- the books ---------------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        eventually(self.fix.has_every_answer, "an answer to every FIX order")
        self.trader.cancel_all()
        audit.come_to_rest(self.stack)

    def _audit(self) -> list[str]:
        """Every check, whatever the others say."""
        stack, trader, log = self.stack, self.trader, Log(self.stack)
        wire, client = Wire(self.venue_wire), Wire(self.fix.relay)
        checks: tuple[tuple[str, Callable[[], None]], ...] = (
            ("venue's wire", wire.assert_nothing_is_doubled),
            ("log and wire", lambda: audit.assert_the_log_is_the_wire(log, wire)),
            ("REST and wire", lambda: audit.assert_rest_is_the_wire(trader, wire)),
            ("Postgres and log", lambda: audit.assert_postgres_is_the_log(audit.tables(stack), log)),
            ("JetStream and log", lambda: audit.assert_the_stream_is_the_log(stack, log)),
            ("mails and log", lambda: audit.assert_one_mail_per_fill(stack, log)),
            ("replay", lambda: audit.assert_a_replay_gives_the_living_state(stack)),
            ("REST's ledger", lambda: audit.assert_the_ledger_is_the_log(trader, log)),
            ("FIX client's ledger", lambda: assert_the_client_was_told_the_log(self.fix, log)),
            ("nothing but what was sent", lambda: assert_nothing_but_what_was_sent(trader, self.fix, log)),
            ("client's wire, sent", lambda: assert_numbers_are_used_once(client.sent)),
            ("client's wire, received", lambda: assert_numbers_are_used_once(client.received)),
            ("sequence numbers", lambda: assert_the_log_has_no_gap(log)),
        )
        findings = []
        for name, check in checks:
            try:
                check()
            except AssertionError as wrong:
                findings.append(f"{name}: {str(wrong)[:2000]}")
        return findings


def assert_the_client_was_told_the_log(fix: FixTrader, log: Log) -> None:
    """Every order of the FIX client has its answer, and the log says the same of it; nothing was told twice."""
    accepted, answers = log.accepted(), fix.answers()
    for name in fix.sent:
        times = len(accepted.get(name, ()))
        kind = answers.get(name)
        assert kind is not None, f"{name} was never answered"
        if kind in ACCEPTED:
            assert times == 1, f"{name} was acknowledged and is there {times} times"
        else:
            assert kind == REJECTED, f"the first that was told of {name} is 150={kind}"
            assert times == 0, f"{name} was refused and is there {times} times"
    assert not fix.exec_ids_told_twice()


def assert_nothing_but_what_was_sent(trader: Trader, fix: FixTrader, log: Log) -> None:
    sent = set(trader.answers) | set(fix.sent)
    orders = [r for r in log.records if r.kind == CommandKind.NEW_ORDER]
    assert {commands.decode(r.payload)["text"] for r in orders} <= sent
    assert set(log.accepted()) <= sent


def assert_numbers_are_used_once(messages: list[Fields]) -> None:
    """A number stands for one message of the application, however often it was sent; a new message has a new one."""
    fresh = [m[34] for m in messages if m.get(43) != "Y" and m[35] not in "A5"]
    again = [number for number, times in Counter(fresh).items() if times > 1]
    assert not again, f"sequence numbers used for two messages: {again[:10]}"
    exec_ids = {m[34]: m[17] for m in messages if m[35] == "8"}
    assert len(set(exec_ids.values())) == len(exec_ids), "an ExecID came under two numbers"


def assert_the_log_has_no_gap(log: Log) -> None:
    """No machine died, so within the whole log each record's number is the one after the last one's."""
    numbers = [record.seq for record in log.records]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    epochs = [record.epoch for record in log.records]
    assert epochs == sorted(epochs)
