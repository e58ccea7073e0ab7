"""How much of a command's fields the log keeps: those that its layout has, in whole words."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from core.records import COMMAND_LAYOUTS, FIELDS_BYTES


def _fields_bytes(layout: np.dtype[np.void]) -> int:
    """Where a layout's fields end, in whole words: what of them the log keeps."""
    placed: Any = layout.fields or {}
    end = max(offset + field.itemsize for name, (field, offset, *_) in placed.items() if name != "text")
    return -(-end // 8) * 8


def _logged_bytes() -> np.ndarray[Any, np.dtype[np.int64]]:
    table = np.full(COMMAND_KINDS, FIELDS_BYTES, np.int64)
    for kind, layout in COMMAND_LAYOUTS.items():
        table[kind] = _fields_bytes(layout)
    table.flags.writeable = False
    return table


# Kinds of commands are below this; LOGGED_BYTES[kind]: the bytes of fields that the log keeps of one, all of them
# where the kind is unknown.
COMMAND_KINDS: Final = 64
LOGGED_BYTES: Final = _logged_bytes()
