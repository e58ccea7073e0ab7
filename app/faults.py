"""Faults that a person can mend: one line that names what is wrong and the remedy, never a traceback."""

from __future__ import annotations


class StackError(RuntimeError):
    """A stack that cannot be started or spoken to. The text is for the person at the terminal."""
