"""docs/rejects.md, made from the tables of rejects and checks: `python -m core.reject_docs > docs/rejects.md`."""

from __future__ import annotations

import sys

from core.rejects import TEXTS
from core.risk import CHECKS


def markdown() -> str:
    """The whole document."""
    lines = [
        "# Reject codes and risk checks",
        "",
        "Made from `core/rejects.py` and `core/risk.py`. A code never changes its meaning. REST answers with `http`,",
        "`code` and the text behind its check's name; FIX carries the text in 58 and a reason of its own list in 103.",
        "",
        "## The checks, in the order in which they are applied",
        "",
        "| check | parameters | rule | codes |",
        "| --- | --- | --- | --- |",
    ]
    for check in CHECKS:
        codes = ", ".join(str(int(code)) for code in check.codes)
        lines.append(f"| {check.name} | {check.parameters} | {check.rule} | {codes} |")
    lines += [
        "",
        "## The codes",
        "",
        "| code | name | check | text | http | `code` |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for code, text in TEXTS.items():
        lines.append(
            f"| {int(code)} | {code.name} | {text.check} | {text.text} | {text.http} | {text.code} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
