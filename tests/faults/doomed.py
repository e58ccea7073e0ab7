"""`tradewind` with a shard that dies of any order of one account: `python -m tests.faults.doomed up …`

While the file `doomed` in the data folder holds a row's number, that account's household, in the memory of the shard's
process, is a number far outside of every table, as after a bit that flipped. What reads it is killed by the hardware.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from actors.shard import Shard
from app import cli
from app.config import Config
from app.roles import ROLES, Main, Role
from app.stack import Plan

WILD = 1 << 31


class Doomed(Role):
    """The role `shard`, with that row in its state once it is recovered."""

    def main(self) -> Main:
        whole = super().main()

        def main(config: Config, ready: Callable[[], None]) -> None:
            start = Shard.start

            def doomed_start(shard: Shard) -> None:
                plan = config.data_dir / "doomed"
                if plan.exists():
                    shard.state.accounts[int(plan.read_text())]["household"] = WILD
                start(shard)

            Shard.start = doomed_start  # type: ignore[method-assign, assignment]
            whole(config, ready)

        return main


PLAN = Plan(roles=[Doomed(*role) if role.name == "shard" else role for role in ROLES])

if __name__ == "__main__":
    sys.exit(cli.main(plan=PLAN))
