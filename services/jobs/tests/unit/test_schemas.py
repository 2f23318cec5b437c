"""HTTP bodies: what is refused before it reaches the database, and cursors that survive the round trip."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from jobs.errors import InvalidCursor
from jobs.schemas import Cursor, NewJob

BODY: dict[str, Any] = {
    "job_id": str(uuid4()),
    "file_name": "Gespräch mit Zoë.mp3",
    "content_type": "audio/mpeg",
    "size_bytes": 0,
    "sha256": "0" * 64,
    "source_key": "uploads/x/source",
}


def test_a_file_name_in_any_script_is_taken_as_it_is() -> None:
    assert NewJob.model_validate(BODY).file_name == "Gespräch mit Zoë.mp3"


@pytest.mark.parametrize(
    "wrong",
    [
        {"file_name": "a\x00b"},
        {"file_name": ""},
        {"size_bytes": -1},
        {"size_bytes": 2**63},
        {"sha256": "abc"},
        {"options": {"model": "../base"}},
        {"options": {"initial_prompt": "a\x00b"}},
        {"options": {"language": "e\x00"}},
    ],
)
def test_what_cannot_be_stored_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NewJob.model_validate(BODY | wrong)


def test_a_cursor_returns_to_the_same_position() -> None:
    cursor = Cursor(created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), id=uuid4())
    assert Cursor.decode(cursor.encode()) == cursor
    assert cursor.encode().replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("text", ["", "x", "!!!!", "MjAyNi0wMS0wMg", "MjAyNi0wMS0wMiBub3QtYW4taWQ", "ä"])
def test_a_foreign_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        Cursor.decode(text)
