"""docs/events.md, made from the schemas: `python -m services.event_docs` writes it, a test compares it."""

from __future__ import annotations

import sys
from typing import Final, get_type_hints

from msgspec import inspect

from services import schemas

_OPENING: Final = """# Events over NATS

Made from `services/schemas.py` by `python -m services.event_docs`; do not edit.

What happens in a shard is published to JetStream: stream `TRADEWIND`, file storage, JSON bodies. Subjects are
`tradewind.v1.<kind>.<shard>.<account>.<what>`; in a token, everything other than letters, digits and `-` is
`_` and two hex digits (`BRK.B` is `BRK_2EB`), and `_` alone is "none". All of one account:
`tradewind.v1.*.*.TW000001.>`; all fills: `tradewind.v1.order.*.*.trade`.

The stream has each event once and in the log's order. Delivery to you is at least once: keep the highest
`seq` you have handled for each shard, skip what is not above it, and check that `prior_seq` of the next is
the one you have. `Nats-Msg-Id` is `<shard>:<seq>`; `Tradewind-Epoch` names the life of the shard's owner, and never
goes down along the stream. Money, prices and quantities are decimal text: exact.
Within v1 fields may be added; none goes away or changes its meaning.
"""

_WHAT: Final = {
    schemas.OrderUpdate: ("order", "<account>", "<exec_type>"),
    schemas.CashUpdate: ("cash", "<account>", "paid|rejected"),
    schemas.AccountUpdate: ("account", "<account>", "<state>|rejected"),
    schemas.InstrumentUpdate: ("instrument", schemas.NOBODY, "<symbol>"),
    schemas.BreakUpdate: ("break", "<account>", "<kind>"),
    schemas.GroupUpdate: ("group", "<group>", "<state>|rejected"),
    schemas.SettlementUpdate: ("settlement", schemas.NOBODY, "<date>"),
    schemas.TableUpdate: ("table", schemas.NOBODY, "<kind>-<number>"),
    schemas.QuarantineUpdate: ("quarantine", "<account>", "<kind>"),
}


def markdown() -> str:
    """The whole page."""
    return _OPENING + "".join(_section(update) for update in schemas.UPDATES)


def _section(update: type[schemas.Update]) -> str:
    kind, account, what = _WHAT[update]
    hints = get_type_hints(update, include_extras=True)
    rows = [f"| `type` | text | Always `{update.__struct_config__.tag}`. |"]
    for name in update.__struct_fields__:
        hint = hints[name]
        rows.append(f"| `{name}` | {_type_text(hint)} | {hint.__metadata__[0].description} |")
    return (
        f"\n## {update.__name__}\n\n"
        f"Subject `{schemas.ROOT}.{kind}.<shard>.{account}.{what}`\n\n"
        f"{_paragraphs(update.__doc__ or '')}\n\n"
        "| field | JSON | meaning |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


def _type_text(hint: object) -> str:
    kinds = inspect.type_info(hint)
    if isinstance(kinds, inspect.Metadata):
        kinds = kinds.type
    parts = kinds.types if isinstance(kinds, inspect.UnionType) else (kinds,)
    words = {
        inspect.IntType: "integer",
        inspect.StrType: "text",
        inspect.NoneType: "null",
        inspect.BoolType: "true or false",
    }
    return " or ".join(words[type(part)] for part in parts)


def _paragraphs(docstring: str) -> str:
    return "\n".join(line.strip() for line in docstring.strip().splitlines())


if __name__ == "__main__":
    sys.stdout.write(markdown())
