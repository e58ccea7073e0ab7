"""Long steps of a start, shown with the seconds that are left: a bar at a terminal, lines elsewhere.

A step is (label, expected seconds, what to do). Expected seconds come from a machine like a developer's;
after the first steps the estimate is scaled by how this machine has fared. Steps that are quick, as on
every start but the first, show nothing.

Always holds: when `run` returns, its thread has ended. The supervisor forks soon after.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TextIO

# A second start is through its steps before this and stays silent.
SILENT_S: Final = 0.8
BAR_REFRESH_S: Final = 0.1
LINE_EVERY_S: Final = 5.0
# The estimate is not scaled by less than this share of the work: the first function is no measure.
SCALE_FROM: Final = 0.1


class Step(NamedTuple):
    label: str
    expected_s: float
    action: Callable[[], object]


class _Screen(Protocol):
    def show(self, label: str, share: float, left_s: int) -> None: ...
    def close(self) -> None: ...


class _Estimate:
    """How far we are, from expected seconds and the clock."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._total_s = max(sum(step.expected_s for step in steps), 0.001)
        self._began_s = time.monotonic()
        self._step_began_s = self._began_s
        self._done_s = 0.0
        self.step = steps[0]

    def begin(self, step: Step) -> None:
        self.step = step
        self._step_began_s = time.monotonic()

    def end(self, step: Step) -> None:
        self._done_s += step.expected_s

    def now(self) -> tuple[float, int]:
        """(share done, seconds left). The running step counts by its time, up to what was expected of it."""
        now_s = time.monotonic()
        known = self._done_s >= self._total_s * SCALE_FROM
        scale = max((self._step_began_s - self._began_s) / self._done_s, 0.05) if known else 1.0
        in_step_s = min((now_s - self._step_began_s) / scale, self.step.expected_s)
        done_s = min(self._done_s + in_step_s, self._total_s)
        return done_s / self._total_s, max(1, round((self._total_s - done_s) * scale))


class _Bar:
    def __init__(self, title: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
        self._progress = Progress(*columns, auto_refresh=False, transient=True)
        self._task = self._progress.add_task(title, total=1.0, left="")
        self._title = title
        self._progress.start()

    def show(self, label: str, share: float, left_s: int) -> None:
        text = f"about {left_s} s left · {label}"
        self._progress.update(self._task, completed=share, left=text, refresh=True)

    def close(self) -> None:
        self._progress.stop()


class _Lines:
    def __init__(self, title: str, out: TextIO) -> None:
        self._title = title
        self._out = out
        self._next_s = 0.0

    def show(self, label: str, share: float, left_s: int) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + LINE_EVERY_S
            line = f"{self._title}: {share:.0%}, about {left_s} s left ({label})"
            say(line, self._out)

    def close(self) -> None:
        pass


def say(line: str, out: TextIO) -> None:
    """Print a line for whoever reads it; a start goes on when nobody does (`tradewind up --detach | head`)."""
    with contextlib.suppress(BrokenPipeError):
        print(line, file=out, flush=True)


def run(title: str, steps: Sequence[Step], out: TextIO | None = None) -> None:
    """Does the steps in order. What a step raises comes out of here, after the display is gone."""
    if not steps:
        return
    out = out or sys.stdout
    estimate = _Estimate(steps)
    ended = threading.Event()
    painter = threading.Thread(target=_paint, args=(title, estimate, ended, out), name="progress")
    painter.start()
    began_s = time.monotonic()
    try:
        for step in steps:
            estimate.begin(step)
            step.action()
            estimate.end(step)
    finally:
        ended.set()
        painter.join()
    if time.monotonic() - began_s > SILENT_S:
        say(f"{title}: done in {time.monotonic() - began_s:.0f} s", out)


def _paint(title: str, estimate: _Estimate, ended: threading.Event, out: TextIO) -> None:
    if ended.wait(SILENT_S):
        return
    screen: _Screen = _Bar(title) if out.isatty() else _Lines(title, out)
    try:
        while not ended.wait(BAR_REFRESH_S):
            share, left_s = estimate.now()
            screen.show(estimate.step.label, share, left_s)
    finally:
        screen.close()


def main(arguments: list[str]) -> int:
    """`python -m app.progress TITLE SECONDS COMMAND…`: a command under the bar; its output if it fails."""
    title, expected, *command = arguments
    results: list[subprocess.CompletedProcess[str]] = []

    def execute() -> None:
        results.append(
            subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        )

    run(title, [Step(command[0], float(expected), execute)])
    if results[0].returncode:
        print(results[0].stdout, end="", file=sys.stderr)
    return results[0].returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
