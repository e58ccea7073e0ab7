"""`up` and `down`: a stack's start from an empty folder to open doors, and its end.

The order matters. The servers are executed first and come up while the roles' modules are imported; then the
compiled path is made warm; then the roles are forked, each a copy of this warm process: what was imported and
compiled once is shared by all of them.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from app import child, lock, logs, orphans, placement, preflight, progress, status
from app.announce import Demo, announcement
from app.config import Config
from app.embedded.nats import Nats
from app.embedded.postgres import Postgres
from app.embedded.secret import ensure_secret
from app.embedded.server import EmbeddedServer, ServerError
from app.embedded.valkey import Valkey
from app.faults import StackError
from app.process import Process
from app.progress import Step
from app.roles import ROLES, Role
from app.status import Status
from app.supervisor import Supervisor

# The supervisor's own stages of a stop take 5 s a stage at most, and 15 s for the servers.
DOWN_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.02
# PostgreSQL's folder is made on the first start only.
FIRST_SERVERS_S: Final = 3.0
IMPORT_S: Final = 3.0


class Plan:
    """What a start consists of; a test makes one with small roles."""

    def __init__(
        self,
        roles: Sequence[Role] = ROLES,
        warm: Callable[[], list[Step]] | None = None,
        demo: Callable[[Config], Demo] | None = None,
    ) -> None:
        self.roles = roles
        self.warm = warm or _compile_steps
        self.demo = demo or _demo


def up(
    load: Callable[[], Config], plan: Plan, on_ready: Callable[[], None], inherited: Sequence[int] = ()
) -> int:
    """Runs a stack until a signal ends it; returns the exit code. Raises StackError, ConfigError.

    `inherited`: descriptors that no child may keep.
    """
    config = load()
    held = lock.acquire(config)
    ensure_secret(config.data_dir)
    config = load()  # once more: the servers' urls hold the secret
    orphans.stop_left(config, _tell)
    preflight.check_free(config)
    preflight.check_memory(config)
    placement.check(config)
    preflight.check_elsewhere(config)

    processes = [Process(server) for server in _servers(config)]
    processes += [Process(role) for role in plan.roles if role.wanted(config)]
    supervisor = Supervisor(config, processes, _tell, inherited=[held, *inherited])
    try:
        with _interruptible():
            progress.run("starting the servers", [Step("servers", FIRST_SERVERS_S, supervisor.start_servers)])
            progress.run("loading", _import_steps(processes))
            demo = plan.demo(config)
            progress.run("compiling the hot path", plan.warm())
    except BaseException as error:
        supervisor.stop()
        if isinstance(error, KeyboardInterrupt):
            return 130
        raise
    gc.collect()
    gc.freeze()  # what is alive now lives as long as the roles: no collector looks, no page is copied

    def ready() -> None:
        progress.say(announcement(config, demo), sys.stdout)
        on_ready()

    exit_code = supervisor.run(demo.key, ready)
    progress.say("stopped", sys.stdout)
    return exit_code


def detached(load: Callable[[], Config], plan: Plan) -> int:
    """`up` in a process of its own: returns when the stack is ready (0) or has given up (its exit code)."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid != 0:
        os.close(tell)
        return _await(pid, told)
    os.close(told)
    os.setsid()

    def ready() -> None:
        config = load()
        os.write(tell, b"!")
        _print_into(logs.open_for(config.logs_dir, "supervisor"), tell)

    code = 1
    try:
        code = up(load, plan, ready, inherited=[tell])
    except (StackError, ServerError) as fault:
        _tell(f"tradewind: {fault}")
    except BaseException:  # nothing of ours may unwind into the frames of the process that was forked
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _await(pid: int, told: int) -> int:
    """Waits for the word of the detached supervisor; Ctrl-C meanwhile stops it."""
    while True:
        try:
            if os.read(told, 1):
                return 0
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) or 1
        except KeyboardInterrupt:
            os.kill(pid, signal.SIGTERM)


def _print_into(output: int, tell: int) -> None:
    """From now on stdin and `tell` lead nowhere and what is printed goes to `output`: no terminal is held."""
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (null, tell), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(output)


def run_role(config: Config, role: Role) -> int:
    """One role in this process, until SIGTERM: the same `main` that a stack forks."""
    for folder in (config.data_dir, config.logs_dir, config.run_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    child.configure_logging()
    child.set_process_name(f"tw-{role.name}")
    placement.check(config)
    placement.place(role.name, config)
    role.main()(config, lambda: _tell(f"{role.name} is ready"))
    return 0


def down(config: Config) -> str:
    """Stops the stack of a data folder, whatever its state; returns what was found. Raises StackError."""
    found = status.read(config.status_path)
    if found is not None and found.supervisor.alive() and lock.is_held(config):
        with suppress(ProcessLookupError):
            os.kill(found.supervisor.pid, signal.SIGTERM)
        deadline_s = time.monotonic() + DOWN_TIMEOUT_S
        while found.supervisor.alive():
            if time.monotonic() > deadline_s:
                raise StackError(
                    f"the supervisor (pid {found.supervisor.pid}) has not stopped in {DOWN_TIMEOUT_S:.0f} s; "
                    f"see `tradewind status` for what it waits for, or kill it and run `tradewind down` again"
                )
            time.sleep(POLL_S)
        return "stopped"
    if lock.is_held(config):
        raise StackError(
            f"a stack on {config.data_dir} is only now starting; try again, or press Ctrl-C where it starts"
        )
    if not config.lock_path.exists():
        return f"nothing runs on {config.data_dir}"
    held = lock.acquire(config)
    try:
        left = orphans.stop_left(config, _tell)
    finally:
        os.close(held)
    return "stopped what was left" if left else f"nothing runs on {config.data_dir}"


def current(config: Config) -> Status:
    """The stack's status: its supervisor's word while that lives, else what it left, which is never `ready`."""
    found = status.read(config.status_path)
    if found is not None and found.supervisor.alive():
        return found
    nobody = status.stopped(config)
    if lock.is_held(config):  # one that starts, and has said nothing yet
        return nobody
    return msgspec.structs.replace(nobody, processes=orphans.left(config))


def _servers(config: Config) -> list[EmbeddedServer]:
    secret = ensure_secret(config.data_dir)
    made: list[EmbeddedServer] = [
        Postgres(config.data_dir, config.ports.postgres, secret),
        Nats(config.data_dir, config.ports.nats, secret),
        Valkey(config.data_dir, config.ports.valkey, secret),
    ]
    return [server for server in made if server.name in config.embedded]


def _import_steps(processes: list[Process]) -> list[Step]:
    def importing(process: Process, role: Role) -> Callable[[], None]:
        def load() -> None:
            process.main = role.main()

        return load

    roles = [(process, process.work) for process in processes if isinstance(process.work, Role)]
    return [Step(role.name, IMPORT_S / len(roles), importing(process, role)) for process, role in roles]


def _compile_steps() -> list[Step]:
    from actors import warm

    return [Step(*step) for step in warm.steps()]


def _demo(config: Config) -> Demo:
    """Makes the demo's key on the first start, and sees that what is to be replayed can be."""
    from gateways.identity import Credentials, IdentityError
    from marketdata.closes import ClosesMissing
    from marketdata.instruments import InstrumentUnknown, definitions
    from marketdata.recording import RecordingError

    try:
        key = Credentials.create_demo(config.credentials_path).demo
        symbol = definitions(config.replay)[0].symbol
    except (IdentityError, ClosesMissing, RecordingError, InstrumentUnknown) as error:
        raise StackError(str(error)) from None
    return Demo({} if key is None else {"key_id": key.key_id, "secret_key": key.secret_key}, symbol)


class _interruptible:
    """Until the supervisor's loop takes the signals, SIGTERM interrupts as Ctrl-C does."""

    def __enter__(self) -> None:
        def interrupt(_number: int, _frame: object) -> None:
            raise KeyboardInterrupt

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, interrupt)

    def __exit__(self, *_exception: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the stop that may follow is not to be cut short


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
