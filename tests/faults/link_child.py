"""One end of the link in a process of its own: `link_child.py owner|standby FOLDER HOST PORT KEY`.

The owner is told by lines what to do, and answers with its synced position and its state's hash. The standby says the
same of itself whenever it has come further.
"""

from __future__ import annotations

import sys
from pathlib import Path

from app.config import run_dir_of
from tests.faults import links
from tests.faults.links import Owner, StandbyHost


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def owner(folder: Path, run_dir: Path, host: str, port: int) -> None:
    here = Owner(folder, run_dir, host=host, port=port, away_ms=500, is_awaited=True)
    say("ready", here.port)
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        if word == "trade":
            here.trade(int(number))
        if word == "wait":
            here.wait_for(lambda state=number: here.status().state == state)  # type: ignore[misc]
        say(here.tail.synced, here.hash())
    here.close()


def standby(folder: Path, run_dir: Path, host: str, port: int) -> None:
    here = StandbyHost(folder, run_dir, port, host=host)
    said = 0

    def look() -> bool:
        nonlocal said
        if here.copy.synced > said and here.copy.is_applied:
            said = here.copy.synced
            say(said, here.copy.hash())
        return False

    say("ready", 0)
    here.follow(look, patience_s=3600)


if __name__ == "__main__":
    role, where, address, at, key = sys.argv[1:]
    links.KEY = bytes.fromhex(key)
    run = run_dir_of(Path(where))
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    {"owner": owner, "standby": standby}[role](Path(where), run, address, int(at))
