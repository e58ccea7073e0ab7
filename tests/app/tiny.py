"""`tradewind` with small roles instead of the desk's: python -m tests.app.tiny up …

What a role does beyond serving is asked of it by files in its data folder, so that a test can ask any time.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from app import cli
from app.announce import Demo
from app.config import Config
from app.roles import DOORS, FOLLOWERS, SHARD, Main, Role
from app.stack import Plan


class TinyRole(Role):
    """Serves until SIGTERM, and writes down when it starts and when it stops."""

    def main(self) -> Main:
        def main(config: Config, ready: Callable[[], None]) -> None:
            asked = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: asked.set())
            if (config.data_dir / f"{self.name}.cannot-start").exists():
                raise SystemExit(f"{self.name} finds no instruments")
            _note(config.data_dir, f"{self.name} started")
            while (config.data_dir / f"{self.name}.starts-slowly").exists():
                asked.wait(0.05)
            ready()
            _note(config.data_dir, f"{self.name} serves")
            while not asked.wait(0.05) or (config.data_dir / f"{self.name}.will-not-stop").exists():
                pass
            _note(config.data_dir, f"{self.name} stopped")

        return main


def _note(data_dir: Path, line: str) -> None:
    with (data_dir / "events").open("a") as file:
        file.write(line + "\n")


PLAN = Plan(
    roles=(
        TinyRole("door", ("shard",), DOORS),
        TinyRole("shard", ("postgres",), SHARD),
        TinyRole("follower", ("shard",), FOLLOWERS),
    ),
    warm=list,
    demo=lambda _config: Demo({"key_id": "TINY", "secret_key": "secret"}, "TINY"),
)

if __name__ == "__main__":
    sys.exit(cli.main(plan=PLAN))
