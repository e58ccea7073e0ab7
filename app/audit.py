"""`tradewind audit`: log, Postgres and JetStream held against each other (services/audit/), for people and programs.

Exit code 0: they agree, as far as each has come. EXIT_DIFFER: they do not. EXIT_FAULT: one could not be asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Final

import msgspec

from app import log_tool
from app.config import Config
from services.audit.auditor import Report, audit
from services.audit.findings import DIFFERENCES_KEPT_MAX

EXIT_AGREE: Final = 0
EXIT_FAULT: Final = 1
EXIT_DIFFER: Final = 3
# So many differences a person reads; all that are kept are in --json.
SHOWN_MAX: Final = 50


def act(config: Config, words: argparse.Namespace) -> int:
    """Raises StackError where there is no log, or where it is damaged."""
    report = asyncio.run(
        audit(
            log_tool.records(config),
            shard=config.shard,
            postgres_url=config.postgres_url,
            nats_url=config.nats_url,
        )
    )
    if words.json:
        print(json.dumps({"agrees": report.agrees, **msgspec.to_builtins(report)}))
    else:
        print(_for_people(report))
    if not report.agrees:
        return EXIT_DIFFER
    return EXIT_AGREE if report.is_complete else EXIT_FAULT


def _for_people(report: Report) -> str:
    begins = (
        "from its beginning" if report.kept_from <= 1 else f"from {report.kept_from} on, the rest was let go"
    )
    lines = [f"the log: {report.events:,} events up to seq {report.last_seq:,}, {begins}"]
    for name, store in report.stores.items():
        if store.trouble is not None:
            lines.append(f"{name}: could not be asked: {store.trouble}")
            continue
        looked_at = ", ".join(f"{count:,} {what}" for what, count in store.looked_at.items())
        lines.append(f"{name}: has come to event {store.done:,}, {store.behind:,} events behind; {looked_at}")
    lines += [str(difference) for difference in report.first[:SHOWN_MAX]]
    if report.differences > SHOWN_MAX:
        kept = min(report.differences, DIFFERENCES_KEPT_MAX)
        lines.append(f"… {report.differences - SHOWN_MAX:,} more; --json has the first {kept:,}")
    if report.agrees:
        lines.append("they agree" if report.is_complete else "what could be asked agrees")
    else:
        places = ", ".join(f"{count:,} in {place}" for place, count in sorted(report.by_place.items()))
        lines.append(f"THEY DIFFER: {report.differences:,} differences: {places}")
    return "\n".join(lines)
