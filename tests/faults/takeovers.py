"""Take-overs under load, with random kills on both hosts before and after, and owners that wake as zombies.

    python -m tests.faults.takeovers --rounds 10 --seed 1 --out FILE

A round: an owner and its standby at gate `replicated`, orders from three hands. Processes of both are killed at random
times. Then the owner's host dies, or is stopped as a whole (SIGSTOP); `tradewind takeover` on the standby; orders go
on there, more of its processes are killed, and what was stopped is woken in the midst of it. Once all is at rest: an
acknowledged order exists once, nothing that was not sent, nothing at the venue that the log does not know; no number
and no ExecID twice on the wire; replays give the living state; Postgres and JetStream agree with the log.

The venue and its market data are of no host's and are not killed, nor are the supervisors: those are campaign.py's.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from actors.view import StateView
from core import commands, ids
from core.records import CommandKind, OrdStatus
from tests.acceptance import audit
from tests.acceptance.audit import Log
from tests.acceptance.desk import OrderFlow, Trader, eventually, flowing
from tests.acceptance.wire import Wire
from tests.faults.desk import all_agree
from tests.faults.hosts import WORLD, Hosts
from tests.stack import Stack

DIES, WAKES = "dies", "wakes"
KILLS_BEFORE = 4
KILLS_AFTER = 3
# Between two kills, in seconds on average.
BETWEEN_S = 1.5
SOME = 20
# What a zombie's supervisor would start again, and what ends by itself once the lease is over.
ZOMBIES = ("shard", "fix", "gateway", "fix-door", "replicator", "publisher", "portfolio", "notifications")


class Result(msgspec.Struct):
    """One round. `findings`: what did not hold, with its words; empty when all did. steps_ms: of the take-over."""

    seed: int
    ending: str
    kills: dict[str, int]
    sent: int
    acknowledged: int
    unanswered: int
    after: int
    records: int
    steps_ms: dict[str, float]
    seconds: float
    findings: list[str]


class Round:
    """Two hosts, those who trade, and who is killed."""

    def __init__(self, folder: Path, seed: int, ending: str = "") -> None:
        self.dice = random.Random(seed)
        self.seed = seed
        self.ending = ending or self.dice.choice((DIES, WAKES))
        self.kills: Counter[str] = Counter()
        self.hosts = Hosts(folder, when_standby_away="degrade")

    def run(self) -> Result:
        begun, hosts = time.monotonic(), self.hosts
        eventually(lambda: hosts.link().get("state") == "following", "the standby's following")
        before = hosts.trader(hosts.owner)
        eventually(lambda: all(map(before.has_quote, OrderFlow.SYMBOLS)), "first quotes")
        with flowing(before) as flow:
            flow.wait_for_orders(SOME)
            for _ in range(KILLS_BEFORE):
                self._kill(*self.dice.choice(self._victims()))
                time.sleep(self.dice.uniform(0, 2 * BETWEEN_S))
            eventually(lambda: hosts.link().get("state") == "following", "the standby's return")
            flow.wait_for_orders(SOME)
            pids = self._end_the_owner()
            answer = hosts.standby.take_over()
        eventually(lambda: hosts.standby.refresh()["ready"], "the new owner's doors")
        after = hosts.trader(hosts.standby)
        eventually(lambda: all(map(after.has_quote, OrderFlow.SYMBOLS)), "quotes at the new owner")
        with flowing(after) as flow:
            flow.wait_for_orders(SOME)
            if self.ending == WAKES:
                hosts.signal_owner(signal.SIGCONT, with_supervisor=False)
            for _ in range(KILLS_AFTER):
                self._kill(*self.dice.choice(self._roles(hosts.standby, "new ")))
                time.sleep(self.dice.uniform(0, 2 * BETWEEN_S))
            eventually(lambda: hosts.standby.refresh()["ready"], "the new owner's rest")
            flow.wait_for_orders(SOME)
        findings = self._zombies_left(pids)
        self._come_to_rest(after)
        findings += self._audit(before, after)
        status = Counter(before.answers.values())
        return Result(
            self.seed, self.ending, dict(sorted(self.kills.items())), status.total(), status[200],
            status[0] + status[503], Counter(after.answers.values())[200], len(Log(hosts.standby).records),
            answer["times_ms"], round(time.monotonic() - begun, 1), findings,
        )  # fmt: skip

    def discard(self) -> None:
        self.hosts.discard()

    # --- the killing -------------------------------------------------------------------------------------

    def _roles(self, stack: Stack, whose: str) -> list[tuple[str, int]]:
        found = stack.processes().values()
        return [(whose + p["name"], p["pid"]) for p in found if p["pid"] and p["name"] not in WORLD]

    def _victims(self) -> list[tuple[str, int]]:
        """Of the owner each role; of the standby's host the one that follows."""
        standby = [one for one in self._roles(self.hosts.standby, "") if one[0] == "standby"]
        return self._roles(self.hosts.owner, "") + 3 * standby

    def _kill(self, name: str, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
            self.kills[name] += 1

    def _end_the_owner(self) -> dict[str, int]:
        """The roles that were there, by name."""
        roles = dict(self._roles(self.hosts.owner, ""))
        self.hosts.signal_owner(signal.SIGKILL if self.ending == DIES else signal.SIGSTOP)
        return roles

    def _zombies_left(self, pids: dict[str, int]) -> list[str]:
        left = {name: pid for name, pid in pids.items() if name in ZOMBIES}
        deadline = time.monotonic() + 60
        while left and time.monotonic() < deadline:
            left = {name: pid for name, pid in left.items() if runs(pid)}
            time.sleep(0.1)
        return [f"the former owner's {name} goes on" for name in left]

    # --- the books ---------------------------------------------------------------------------------------

    def _come_to_rest(self, after: Trader) -> None:
        after.cancel_all()
        view = StateView.attach(self.hosts.standby.run_dir)
        pending = (OrdStatus.PENDING_NEW, OrdStatus.PENDING_CANCEL)
        eventually(
            lambda: not any(o.ord_status in pending for o in view.orders(1, 100_000)),
            "the venue's last answer",
        )

    def _audit(self, before: Trader, after: Trader) -> list[str]:
        """Every check, whatever the others say."""
        stack, log, wire = self.hosts.standby, Log(self.hosts.standby), Wire(self.hosts.relay)
        checks: tuple[tuple[str, Callable[[], object]], ...] = (
            ("venue's wire", wire.assert_nothing_is_doubled),
            ("orders at the venue", lambda: assert_the_venue_has_no_other_orders(log, wire)),
            ("before", lambda: assert_acknowledged_once(before, log)),
            ("after", lambda: audit.assert_the_ledger_is_the_log(after, log)),
            ("log and wire", lambda: audit.assert_the_log_is_the_wire(log, wire)),
            ("REST and wire", lambda: audit.assert_rest_is_the_wire(after, wire)),
            ("nothing but what was sent", lambda: assert_nothing_else(before, after, log)),
            ("replay", lambda: audit.assert_a_replay_gives_the_living_state(stack)),
            ("Postgres and JetStream", lambda: all_agree(stack)),
            ("epochs", lambda: assert_epochs_go_up(log)),
        )
        findings = []
        for name, check in checks:
            try:
                check()
            except AssertionError as wrong:
                findings.append(f"{name}: {str(wrong)[:2000]}")
        return findings


def runs(pid: int) -> bool:
    """Not dead, and not waiting for a parent that stands still."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_acknowledged_once(trader: Trader, log: Log) -> None:
    """By the ledger of a client whose desk is gone: it can't ask any more about what was not answered."""
    accepted = log.accepted()
    for name, status in trader.answers.items():
        times = len(accepted.get(name, ()))
        assert times <= 1, f"{name} was accepted {times} times"
        assert times == 1 or status != 200, f"{name} was acknowledged and is not there"
        assert times == 0 or not 400 <= status < 500, f"{name} was refused ({status}) and is there"


def assert_the_venue_has_no_other_orders(log: Log, wire: Wire) -> None:
    known = {event.order_id for event in log.order_events}
    there = {ids.order_id_of(message[11]) for message in wire.new_orders}
    assert there <= known, f"the venue has orders that the new owner has not: {sorted(there - known)[:5]}"


def assert_nothing_else(before: Trader, after: Trader, log: Log) -> None:
    sent = set(before.answers) | set(after.answers)
    orders = [r for r in log.records if r.kind == CommandKind.NEW_ORDER]
    assert {commands.decode(r.payload)["text"] for r in orders} <= sent


def assert_epochs_go_up(log: Log) -> None:
    found = [(record.epoch, record.seq) for record in log.records]
    assert found == sorted(set(found))


def one_round(seed: int, ending: str = "") -> Result:
    """In a folder that goes when nothing was found."""
    folder = Path(tempfile.mkdtemp(prefix=f"tradewind-takeover-{seed}-"))
    made = Round(folder, seed, ending)
    try:
        result = made.run()
    except Exception as failure:  # whatever it was, it is this round's finding, and the next seed still runs
        traceback.print_exc()
        why = [f"it ended with {failure!r}"[:4000]]
        result = Result(seed, made.ending, dict(made.kills), 0, 0, 0, 0, 0, {}, 0, why)
    finally:
        made.discard()
    if result.findings:
        sys.stdout.write(f"kept: {folder}\n")
    else:
        shutil.rmtree(folder)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=10, metavar="N", help="one take-over each (default: 10)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first round (default: 1)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="results, one JSON object a round")
    words = parser.parse_args(arguments)
    found = 0
    for seed in range(words.seed, words.seed + words.rounds):
        result = one_round(seed)
        found += len(result.findings)
        line = msgspec.json.encode(result)
        sys.stdout.write(line.decode() + "\n")
        sys.stdout.flush()
        if words.out:
            with words.out.open("ab") as file:
                file.write(line + b"\n")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
