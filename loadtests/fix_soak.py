"""The FIX soak: sessions over real sockets for as long as it is told, while their connections and processes die.

    make soak ARGS="--minutes 30 --sessions 20"

Two pairs of processes, each an acceptor and the initiators of half of the sessions, with durable stores, and a relay
between them (`loadtests/soak_relay.py`). Both sides of each session send (`loadtests/soak_side.py`). At random times,
from a seed, a connection is reset in the middle of a message, is closed on one end, or a process is killed with
SIGKILL and started again; the processes of the first pair are never killed, so that their memory can be watched from
the warm-up to the end. Then all is quiet, and everything is counted (`loadtests/soak_audit.py`).

Exit code 0 when all of this held, else 1, with what did not on stderr:
- every message was delivered at the other side once, in order, and stands in the sender's store under its number;
- both sides count the same numbers, and no number was begun anew;
- no process ended by itself; memory after the warm-up grew within the bound, open files not at all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import psutil
import uvloop

from loadtests.soak_audit import RSS_GROWTH_KIB_MAX, Life, audit
from loadtests.soak_relay import Relay

HOST: Final = "127.0.0.1"
WARM_UP_S_MAX: Final = 120.0
LOOK_S: Final = 1.0
# A resend of an hour's messages takes seconds; what has not come by then does not come.
SETTLE_S_MAX: Final = 180.0
# So many of a hundred disturbances.
KILLS: Final = 10
HALF_CLOSES: Final = 35
PROGRESS_S: Final = 10.0
SHOWN_MAX: Final = 20  # violations on stderr; JSON has them all


class SoakFailed(Exception):
    """Something that must not be, so that it makes no sense to go on."""


class Side:
    """A process, life after life. `told`: what its last line said, {session: [sent, heard, is logged on]}."""

    def __init__(self, name: str, role: str, words: list[str], log: Path) -> None:
        self.name = name
        self.told: dict[str, list[Any]] = {}
        self.faults: list[str] = []
        self.lives: list[Life] = []
        self._command = (sys.executable, "-m", "loadtests.soak_side", role, *words)
        self._log = log
        self._is_down = False  # by our own hand
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        pipe = asyncio.subprocess.PIPE
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=log
            )
        self._is_down = False
        self.lives.append(Life(psutil.Process(self._process.pid), time.monotonic()))
        self._reading = asyncio.create_task(self._read(self._process))

    async def kill(self) -> None:
        """SIGKILL; nothing when it has ended."""
        self._is_down = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    def say(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")

    async def end(self) -> None:
        """Logs out and ends. Raises SoakFailed."""
        assert self._process is not None
        self.say("end")
        async with asyncio.timeout(SETTLE_S_MAX):
            code = await self._process.wait()
        if code:
            raise SoakFailed(f"{self.name} ended with {code}; see {self._log}")

    def look(self, warm_up_s: float) -> None:
        """Raises SoakFailed when it has ended."""
        assert self._process is not None
        if self._is_down:
            return
        if self._process.returncode is not None:
            raise SoakFailed(f"{self.name} ended by itself, with {self._process.returncode}; see {self._log}")
        is_full = bool(self.told) and all(on for _, _, on in self.told.values())
        self.lives[-1].look(time.monotonic(), warm_up_s, is_full)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self.told = {}
        async for line in process.stdout:
            if not line.endswith(b"\n"):
                return  # killed in the middle of it
            said = json.loads(line)
            self.told = said["sessions"]
            self.faults += [fault for fault in said["faults"] if fault not in self.faults]


class Pair:
    """Some of the sessions: their acceptor, their initiators, and the relay between."""

    def __init__(self, name: str, folder: Path, names: list[str], rate: float) -> None:
        self.names = names
        self.folder = folder / name
        self.folder.mkdir()
        self._name = name
        self._rate = rate
        self.sides: list[Side] = []

    async def start(self) -> None:
        port = _free_port()
        self.relay = Relay(HOST, port)
        relay_port = await self.relay.listen()
        for role, number in (("acceptor", port), ("initiator", relay_port)):
            words = [str(self.folder / role), str(number), str(self._rate), *self.names]
            self.sides.append(Side(f"{self._name} {role}", role, words, self.folder / f"{role}.log"))
            await self.sides[-1].start()

    @property
    def is_settled(self) -> bool:
        """Whether each side has heard what the other one has sent."""
        theirs, ours = (side.told for side in self.sides)
        return all(
            name in ours
            and name in theirs
            and ours[name][:2] == theirs[name][1::-1]
            and ours[name][2]
            and theirs[name][2]
            for name in self.names
        )

    async def stop(self) -> None:
        for side in self.sides:
            await side.kill()
        await self.relay.close()


class Soak:
    """One run. `result` is what is printed as JSON."""

    def __init__(self, words: argparse.Namespace, folder: Path) -> None:
        self._words = words
        self._folder = folder
        self._rng = Random(words.seed)
        self._seconds = words.minutes * 60
        self.warm_up_s = min(WARM_UP_S_MAX, self._seconds / 4)
        names = [f"DESK{number}" for number in range(words.sessions)]
        half = len(names) // 2
        self._steady = Pair("steady", folder, names[half:], words.rate)
        self._killed = Pair("killed", folder, names[:half], words.rate)
        self._pairs = (self._steady, self._killed)
        self._done: Counter[str] = Counter()
        self._violations: list[str] = []
        self._sent = (0, 0)

    async def run(self) -> None:
        """Fills in `result`; leaves no process behind."""
        try:
            for pair in self._pairs:
                await pair.start()
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch())
                await asyncio.sleep(min(self._seconds / 10, 5.0))
                await self._disturb(time.monotonic() + self._seconds)
                await self._settle()
                watching.cancel()
            for side in self._sides():
                side.look(self.warm_up_s)
            for pair in self._pairs:
                for side in reversed(pair.sides):
                    await side.end()
        except* (SoakFailed, TimeoutError) as failed:
            self._violations += [str(error) or "a process did not end as told" for error in failed.exceptions]
        finally:
            for pair in self._pairs:
                await pair.stop()
        self._judge()

    @property
    def result(self) -> dict[str, Any]:
        return {
            "minutes": self._words.minutes,
            "sessions": self._words.sessions,
            "seed": self._words.seed,
            "disconnects": dict(self._done),
            "connections": sum(pair.relay.connections for pair in self._pairs),
            "messages_to_acceptors": self._sent[0],
            "messages_to_initiators": self._sent[1],
            "warm_up_s": self.warm_up_s,
            "rss_growth_kib_max": RSS_GROWTH_KIB_MAX,
            "processes": list(self._rows()),
            "violations": self._violations,
        }

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Memory in KiB. Of a process that is killed: the life that lasted longest."""
        for side in self._sides():
            life = max(side.lives, key=lambda life: life.looks)
            yield {
                "name": side.name,
                "lives": len(side.lives),
                "rss_warm": life.rss_warm,
                "rss_end": life.rss_end,
                "rss_peak": max(life.rss_peak for life in side.lives),
                "files_warm": life.files_warm,
                "files_end": life.files_end,
            }

    def _sides(self) -> Iterator[Side]:
        for pair in self._pairs:
            yield from pair.sides

    # --- while it runs --------------------------------------------------------------------------------

    async def _disturb(self, until_s: float) -> None:
        """One disturbance after another, at random times."""
        while (left_s := until_s - time.monotonic()) > 0:
            await asyncio.sleep(min(self._rng.expovariate(1 / self._words.every), left_s))
            draw = self._rng.random() * 100
            pair = self._rng.choice(self._pairs)
            if draw < KILLS:
                side = self._rng.choice(self._killed.sides)
                await side.kill()
                await asyncio.sleep(self._rng.random())
                await side.start()
                self._done["kill"] += 1
            elif draw < KILLS + HALF_CLOSES:
                self._done["half_close"] += pair.relay.half_close(self._rng)
            else:
                self._done["reset"] += pair.relay.reset(self._rng)

    async def _settle(self) -> None:
        """Nobody sends any more; what is under way arrives. Raises SoakFailed."""
        for side in self._sides():
            side.say("quiet")
        deadline_s = time.monotonic() + SETTLE_S_MAX
        settled = 0
        while settled < 3:  # more than one of the lines that the sides tell
            if time.monotonic() > deadline_s:
                raise SoakFailed(f"after {SETTLE_S_MAX:.0f} s not all that was sent has been heard")
            await asyncio.sleep(LOOK_S)
            settled = settled + 1 if all(pair.is_settled for pair in self._pairs) else 0

    async def _watch(self) -> None:
        began_s = shown_s = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            for side in self._sides():
                side.look(self.warm_up_s)
            now_s = time.monotonic()
            if now_s - shown_s >= PROGRESS_S:
                shown_s = now_s
                self._show(now_s - began_s)

    def _show(self, seconds: float) -> None:
        told = [counts for side in self._sides() for counts in side.told.values()]
        rss = ", ".join(f"{side.lives[-1].rss_end // 1024}" for side in self._sides())
        faults = sum(len(side.faults) for side in self._sides())
        print(
            f"{seconds / 60:6.1f} of {self._words.minutes} min: {sum(heard for _, heard, _ in told):,} messages heard, "
            f"{sum(self._done.values())} disconnects, RSS {rss} MiB, {faults} faults",
            file=sys.stderr,
            flush=True,
        )

    # --- when it is over ------------------------------------------------------------------------------

    def _judge(self) -> None:
        for side in self._sides():
            self._violations += side.faults
            for life in side.lives:
                self._violations += life.violations(side.name, is_last=life is side.lives[-1])
        if self._violations:
            return  # what stopped in the middle does not add up
        to_acceptors = to_initiators = 0
        for pair in self._pairs:
            for name in pair.names:
                out, back, wrong = audit(
                    name, pair.folder / "initiator" / name, pair.folder / "acceptor" / name
                )
                to_acceptors, to_initiators = to_acceptors + out, to_initiators + back
                self._violations += wrong
        self._sent = (to_acceptors, to_initiators)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="how long connections are broken (default: 30)"
    )
    parser.add_argument("--sessions", type=int, default=20, help="two at least (default: 20)")
    parser.add_argument("--rate", type=float, default=10.0, help="orders a second in each (default: 10)")
    parser.add_argument(
        "--every", type=float, default=2.0, help="seconds between disconnects, on average (default: 2)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of what happens when (default: 1)")
    parser.add_argument("--json", action="store_true", help="the result as one object")
    words = parser.parse_args()
    if words.sessions < 2 or min(words.minutes, words.rate, words.every) <= 0:
        parser.error("give at least two sessions, and more than 0 for each of the others")
    return words


def show(result: dict[str, Any]) -> None:
    """For people."""
    for name, value in result.items():
        if name not in ("processes", "violations"):
            print(f"{name:<24} {value}")
    print(
        f"{'process':<18}{'lives':>6}{'RSS KiB warm':>14}{'end':>10}{'peak':>10}{'files warm':>12}{'end':>5}"
    )
    for row in result["processes"]:
        print(
            f"{row['name']:<18}{row['lives']:>6}{row['rss_warm']:>14,}{row['rss_end']:>10,}{row['rss_peak']:>10,}"
            f"{row['files_warm']:>12}{row['files_end']:>5}"
        )


def main() -> int:
    words = _words()
    folder = Path(tempfile.mkdtemp(prefix="tradewind-soak-"))
    soak = Soak(words, folder)
    uvloop.run(soak.run())
    result = soak.result
    if words.json:
        print(json.dumps(result))
    else:
        show(result)
    if result["violations"]:
        print(
            *result["violations"][:SHOWN_MAX],
            f"the stores and the processes' words are in {folder}",
            sep="\n",
            file=sys.stderr,
        )
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
