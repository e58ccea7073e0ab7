"""What a killed supervisor left running: found, shown, and ended by whoever holds the data folder's lock.

A kill -9 of the supervisor takes nothing with it: its processes trade on, and the next `tradewind up` replaces
them. It does not adopt them: they would be nobody's children, whose deaths and exit codes nobody is told, and they
may be of an earlier version of this program than the supervisor. A stop in order and a start cost some seconds;
what was acknowledged is in the log, and what waits in a ring is taken by the shard that follows.

Always holds: an orphan is found by what it prints into, its log in this data folder, which it has from its first
instructions on; the status file is believed beside it. So a process that came to be after the supervisor's last
word is found too, and a pid given out again to a stranger is not touched.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from app import status
from app.config import Config
from app.faults import StackError
from app.process import KILLS_MAX, ROLE_STOP_S, SERVER_STOP_S
from app.roles import ROLES, SERVERS
from app.status import ProcessStatus, start_time

POLL_S: Final = 0.02
LEFT: Final = "left"
# The supervisor's own log, where it was started with --detach.
_SUPERVISOR: Final = "supervisor"
_EMBEDDED: Final = ("postgres", "nats", "valkey")
_STAGES: Final = {role.name: role.stop_stage for role in ROLES} | dict.fromkeys(_EMBEDDED, SERVERS)


def left(config: Config) -> list[ProcessStatus]:
    """What lives of a stack whose supervisor does not, each once, in no order."""
    last = status.read(config.status_path)
    told = {p.pid: p for p in (last.processes if last else []) if p.identity.alive()}
    found = [
        ProcessStatus(p.name, p.pid, LEFT, p.started, p.stop_stage, "its supervisor was killed")
        for p in told.values()
    ]
    for pid, name in _printing_into(config.logs_dir.resolve()).items():
        if pid not in told and (started := start_time(pid)):
            stage = _STAGES.get(name, min(_STAGES.values()))
            found.append(ProcessStatus(name, pid, LEFT, started, stage, "its supervisor was killed"))
    return found


def stop_left(config: Config, tell: Callable[[str], None]) -> int:
    """Ends them in the order of a stop, each stage with its time and then SIGKILL; returns how many there were. Raises
    StackError for one that cannot be ended.

    Only for the holder of the lock.
    """
    found = left(config)
    if found:
        names = ", ".join(f"{process.name} (pid {process.pid})" for process in found)
        tell(f"an earlier supervisor of {config.data_dir} was killed; stopping what it left: {names}")
    for stage in sorted({process.stop_stage for process in found}):
        _stop([process for process in found if process.stop_stage == stage], tell)
    return len(found)


def _printing_into(logs_dir: Path) -> dict[int, str]:
    """{pid: name} of the processes whose output is a log of this folder, but for the children of such a one: Postgres
    ends its own."""
    found: dict[int, str] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            output = Path(os.readlink(f"/proc/{entry}/fd/1").removesuffix(" (deleted)"))
        except OSError:  # it has ended, or is another user's
            continue
        if output.parent == logs_dir and output.stem != _SUPERVISOR and int(entry) != os.getpid():
            found[int(entry)] = output.stem
    return {pid: name for pid, name in found.items() if found.get(_parent(pid)) != name}


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _stop(processes: list[ProcessStatus], tell: Callable[[str], None]) -> None:
    longest_s = max(SERVER_STOP_S if p.stop_stage == SERVERS else ROLE_STOP_S for p in processes)
    for number in (signal.SIGTERM, *[signal.SIGKILL] * KILLS_MAX):
        for process in (p for p in processes if p.identity.alive()):
            if number is signal.SIGKILL:
                tell(f"{process.name} (pid {process.pid}) does not stop by itself; killed")
            # Postgres's fast shutdown is SIGINT; at SIGTERM it would wait for clients that may never leave.
            fast = number is signal.SIGTERM and process.name == "postgres"
            _signal(process, signal.SIGINT if fast else number)
        deadline_s = time.monotonic() + (longest_s if number is signal.SIGTERM else ROLE_STOP_S)
        while any(process.identity.alive() for process in processes):
            if time.monotonic() > deadline_s:
                break
            time.sleep(POLL_S)
        else:
            return
    alive = [process for process in processes if process.identity.alive()]
    raise StackError(
        f"{alive[0].name} (pid {alive[0].pid}) of an earlier stack cannot be killed; end it by hand"
    )


def _signal(process: ProcessStatus, number: signal.Signals) -> None:
    if process.pid is None or not process.identity.alive():
        return
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise StackError(
            f"{process.name} (pid {process.pid}) of an earlier stack belongs to another user; "
            f"stop it as that user, or use another --data-dir"
        ) from None
