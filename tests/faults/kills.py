"""The kill campaign in its long form: `make kills ARGS="--kills 300 --seed 1 --out kills.jsonl"`.

A stack after another, each with a seed of its own (SEED, SEED+1, …) and KILLS_A_STACK kills, until there were
enough. With --out, what ran is kept as one JSON object a stack, and a run that was interrupted goes on behind it.
Exit code 1 when anything was found, or a stack could not be brought to rest; its folder is then kept, and named.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.faults.campaign import Campaign, Result

KILLS_A_STACK = 30


def one_stack(seed: int, kills: int) -> Result:
    """One campaign in a folder that goes when nothing was found."""
    folder = Path(tempfile.mkdtemp(prefix=f"tradewind-kills-{seed}-"))
    campaign = Campaign(folder, seed)
    try:
        result = campaign.run(kills)
    except (
        Exception
    ) as failure:  # whatever it was, it is this campaign's finding, and the next seed still runs
        traceback.print_exc()
        result = Result(
            seed, dict(campaign.kills), 0, 0, 0, 0, 0, 0, 0, [f"it ended with {failure!r}"[:4000]]
        )
    finally:
        campaign.discard()
    if result.findings:
        _say(f"kept: {folder}")
    else:
        shutil.rmtree(folder)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=300, metavar="N", help="altogether (default: 300)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first stack (default: 1)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="results, one JSON object a stack")
    words = parser.parse_args(arguments)
    lines = words.out.read_bytes().splitlines() if words.out and words.out.exists() else []
    results = [msgspec.json.decode(line, type=Result) for line in lines]
    while (left := words.kills - sum(result.killed for result in results)) > 0:
        result = one_stack(words.seed + len(results), min(left, KILLS_A_STACK))
        results.append(result)
        _say(msgspec.json.encode(result).decode())
        if words.out:
            with words.out.open("ab") as file:
                file.write(msgspec.json.encode(result) + b"\n")
    _report(results)
    return int(any(result.findings for result in results))


def _report(results: list[Result]) -> None:
    kills: Counter[str] = Counter()
    for result in results:
        kills.update(result.kills)
    _say(f"{kills.total()} kills: " + ", ".join(f"{name} {n}" for name, n in sorted(kills.items())))
    for name in ("rest_sent", "rest_acknowledged", "rest_unknown", "fix_sent", "fix_acknowledged", "records"):
        _say(f"{name} {sum(getattr(result, name) for result in results)}")
    for result in results:
        for finding in result.findings:
            _say(f"seed {result.seed}: {finding}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
