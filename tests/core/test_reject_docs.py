"""docs/rejects.md is the table of core/rejects.py, word for word."""

from __future__ import annotations

from pathlib import Path

from core.reject_docs import markdown

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "rejects.md"


def test_the_document_is_the_table() -> None:
    assert DOCUMENT.read_text() == markdown(), "run: python -m core.reject_docs > docs/rejects.md"
