"""Settings of FIX that are more than a number or a path. Reads names, and nothing of the engine: that would take every
command half a second."""

from __future__ import annotations

from typing import Final

from fix.simulator.words import Fault

# The rules of fix/validation.py, under their names there.
FIX_RULES: Final = ("order", "required", "formats", "values", "unknown_fields", "user_defined")


def fix_rules(text: str) -> frozenset[str]:
    """Names of rules, commas between; "all" for every one. Raises ValueError, with the names that there are."""
    rules = frozenset(text.replace(",", " ").split())
    if not rules <= {*FIX_RULES, "all"}:
        raise ValueError(f"give all, or some of {', '.join(FIX_RULES)}, with commas between them")
    return rules


def faults(text: str) -> tuple[Fault, ...]:
    """What the simulator's drop copy is to tell wrong, commas between. Raises ValueError, naming what there is."""
    names = [name.strip() for name in text.split(",")]
    wrong = [name for name in names if name not in set(Fault)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is none; give some of {', '.join(Fault)}, with commas between")
    return tuple(Fault(name) for name in names)
