"""One role of a stack in a process of its own: `role_child.py ROLE CONFIG`, CONFIG being a pickled Config."""

from __future__ import annotations

import importlib
import logging
import pickle
import sys
from pathlib import Path


def say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


if __name__ == "__main__":
    role, config = sys.argv[1], pickle.loads(Path(sys.argv[2]).read_bytes())
    logging.basicConfig(level=logging.WARNING)
    importlib.import_module(f"app.roles.{role}").main(config, say_ready)
