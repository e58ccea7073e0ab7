from __future__ import annotations

from pathlib import Path

from services.event_docs import markdown

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_the_page_about_events_is_what_the_schemas_say() -> None:
    assert PAGE.read_text() == markdown(), "run `python -m services.event_docs > docs/events.md`"
