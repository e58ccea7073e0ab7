"""The tables of docs/binary.md: `python -m gateways.binary.docs` writes them into it, between their marks.

Offsets, lengths and meanings come from `gateways/binary/layout.py`, the shard's codes from `core/rejects.py`, so that
the page says what the program does; a test holds them equal.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from core.rejects import TEXTS
from gateways.binary.layout import CODES, FIELDS, FROM_CLIENT, FROM_DOOR, HEADER, HEADER_FIELDS, LAYOUTS, Kind

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "binary.md"
BEGIN: Final = "<!-- made by gateways/binary/docs.py -->"
END: Final = "<!-- end of what is made -->"

_TYPES: Final = {"<u2": "u16", "<u4": "u32", "<u8": "u64", "<i8": "i64", "u1": "u8"}


def tables() -> str:
    """All of them, as Markdown."""
    lines = [
        "### Header",
        "",
        "| offset | length | type | field | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    placed: Any = HEADER.fields or {}
    lines += [_row(field, placed) for field in HEADER_FIELDS]
    for kind in Kind:
        placed = LAYOUTS[kind].fields or {}
        lines += [
            "",
            f"### {_name(kind)} ({int(kind)}), {LAYOUTS[kind].itemsize} bytes, {_who(kind)}",
            "",
            "| offset | length | type | field | meaning |",
            "| --- | --- | --- | --- | --- |",
            *(_row(field, placed) for field in FIELDS[kind]),
        ]
    lines += [
        "",
        "### Codes of the door",
        "",
        "| code | name | in | meaning | remedy |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [f"| {int(c)} | {c.name} | {t.message} | {t.meaning} | {t.remedy} |" for c, t in CODES.items()]
    lines += [
        "", "### Codes of the shard, in OrderEvent", "",
        "201, 541 and 901 come in Refused too, where the door sees it first. Unit: of `limit_value`, `observed_value`.",
        "", "| code | name | unit | text |", "| --- | --- | --- | --- |",
    ]  # fmt: skip
    lines += [f"| {int(c)} | {c.name} | {t.unit.name.lower()} | {t.text} |" for c, t in TEXTS.items()]
    return "\n".join(lines)


def _row(field: Any, placed: Any) -> str:
    format_, offset = placed[field.name][:2]
    type_ = "ASCII" if field.format.startswith("S") else _TYPES[field.format]
    if field.name == "reserved":
        type_ = "zeros"
    return f"| {offset} | {format_.itemsize} | {type_} | {field.name} | {field.meaning} |"


def _name(kind: Kind) -> str:
    return "".join(word.capitalize() for word in kind.name.split("_"))


def _who(kind: Kind) -> str:
    if kind in FROM_CLIENT and kind in FROM_DOOR:
        return "both ways"
    return "client to door" if kind in FROM_CLIENT else "door to client"


def page(text: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    sys.stdout.write(f"{PAGE}\n")
