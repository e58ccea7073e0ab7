"""Compiling the FIX codec before the first message, in steps that a progress bar can show.

Always holds: after `steps` have run, nothing of `fix/wire` compiles while messages flow; a second start only loads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fix import codec, dictionary
from fix.wire import checks, frame, groups, template, tokens, values
from fix.wire.template import Kind


class Step(NamedTuple):
    """`expected_s`: seconds on a 2.6 GHz core, from which a progress bar tells how long it will be."""

    label: str
    expected_s: float
    run: Callable[[], object]


class _Bench:
    """One message, on which every compiled function is called once."""

    def __init__(self) -> None:
        fields = [(35, "D"), (34, "1"), (453, "1"), (448, "A"), (447, "D"), (452, "1")]
        self._bytes = np.frombuffer(codec.encode("FIX.4.4", fields), np.uint8).copy()
        self._address = self._bytes.ctypes.data
        self._tokens = tokens.token_table()
        self._count = 0

    def frames_and_fields(self) -> None:
        length = frame.frame(self._address, len(self._bytes))
        assert length == len(self._bytes)
        self._count = tokens.tokenise(self._address, length, self._tokens, tokens.data_table())
        tokens.find(self._tokens, self._count, 34, 0)

    def values(self) -> None:
        for reader in (
            values.read_int,
            values.read_e8,
            values.read_char,
            values.read_bool,
            values.read_utc_ns,
        ):
            reader(self._address, 1)

    def groups(self) -> None:
        members = groups.members_table((447, 448, 452))
        row = tokens.find(self._tokens, self._count, 453, 0)
        first = groups.group(self._tokens, self._address, row, self._count, 448, members)
        groups.entry_end(self._tokens, first, self._count, 448, members)

    def checks(self) -> None:
        rules = checks.rules_of(dictionary.load("FIX.4.4"), "D")
        checks.check(self._tokens, self._count, self._address, rules, checks.numbers_table())

    def templates(self) -> None:
        built = template.build("FIX.4.4", "0", [(34, Kind.INT)])
        out = np.zeros(256, np.uint8)
        template.encode(built.template, built.values, out.ctypes.data, len(out))


def steps() -> list[Step]:
    """To be run in their order; each compiles or loads what its label says."""
    bench = _Bench()
    return [
        Step("FIX frames and fields", 3.5, bench.frames_and_fields),
        Step("FIX values", 1.0, bench.values),
        Step("FIX groups", 1.0, bench.groups),
        Step("FIX checks", 2.0, bench.checks),
        Step("FIX templates", 3.0, bench.templates),
    ]
