"""HTTP bodies: validation, and the round trip of cursors."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from common.web.cursors import InvalidCursor
from jobs.schemas.creation import NewJob
from jobs.schemas.jobs import Restart
from jobs.schemas.listing import Cursor, ListQuery, SortKey

BODY: dict[str, Any] = {
    "job_id": str(uuid4()),
    "file_name": "Gespräch mit Zoë.mp3",
    "content_type": "audio/mpeg",
    "size_bytes": 0,
    "sha256": "0" * 64,
    "source_key": "uploads/x/source",
}


def test_file_names_of_any_script_are_accepted_unchanged() -> None:
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
        {"options": {"hotwords": "a\x00b"}},
        {"options": {"hotwords": "a" * 1001}},
        {"options": {"language": "e\x00"}},
        {"file_name": "a\ud800.wav"},
        {"tags": ["\udfff"]},
    ],
)
def test_unstorable_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NewJob.model_validate(BODY | wrong)


@pytest.mark.parametrize(
    ("sort", "value"), [("created_at", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)), ("duration", -1.0)]
)
def test_a_cursor_returns_to_the_same_position(sort: SortKey, value: datetime | float) -> None:
    cursor = Cursor(sort=sort, order="asc", value=value, id=uuid4())
    assert Cursor.decode(cursor.encode(), ListQuery(sort=sort, order="asc")) == cursor
    assert cursor.encode().replace("-", "").replace("_", "").isalnum()


def _encoded(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "!!!!", "MjAyNi0wMS0wMg", "MjAyNi0wMS0wMiBub3QtYW4taWQ", "ä"),
        *map(_encoded, ([], {}, 1, ["created_at", "desc", 5, str(UUID(int=7))])),
        _encoded(["created_at", "desc", "2026-01-01", str(UUID(int=7))]),
        _encoded(["created_at", "asc", "2026-01-01T00:00:00+00:00", str(UUID(int=7))]),
        _encoded(["created_at", "desc", "2026-01-01T00:00:00+00:00", 7]),
    ],
)
def test_a_cursor_of_another_listing_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        Cursor.decode(text, ListQuery())


@pytest.mark.parametrize(
    "wrong",
    [
        *({"q": ""}, {"q": "a\x00b"}, {"limit": 0}, {"sort": "size"}, {"owner": "somebody"}),
        *({"created_after": "0001-01-01T00:00:00Z"}, {"created_before": "9999-12-31T23:59:59-12:00"}),
    ],
)
def test_invalid_listing_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ListQuery.model_validate(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"tags": ["x" * 65]}, {"tags": [" "]}, {"tags": ["a\x00"]}, {"tags": [f"{n}" for n in range(21)]}),
        *({"callback_url": url} for url in ("ftp://a/b", "http://", "https://u:p@a/b", "http://a b/", "//a/b", "x")),
        {"priority": "urgent"},
    ],
)
def test_invalid_tags_priorities_and_callbacks_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NewJob.model_validate(BODY | wrong)


def test_tags_are_normalized_and_unique() -> None:
    new = NewJob.model_validate(BODY | {"tags": [" a  b", "c", "a b"], "callback_url": "https://example.org/done?x=1"})
    assert (new.tags, new.callback_url) == (["a b", "c"], "https://example.org/done?x=1")


def test_stored_and_requested_text_is_in_composed_form() -> None:
    apart = "Mu\u0308ller"
    options = {"initial_prompt": apart, "hotwords": apart}
    new = NewJob.model_validate(BODY | {"file_name": f"{apart}.wav", "tags": [apart, "Müller"], "options": options})
    assert (new.file_name, new.tags) == ("Müller.wav", ["Müller"])
    assert (new.options.initial_prompt, new.options.hotwords) == ("Müller", "Müller")
    assert Restart(initial_prompt=apart).changes() == {"initial_prompt": "Müller"}
    asked = ListQuery.model_validate({"q": apart, "tag": f" {apart}  x"})
    assert (asked.q, asked.tag) == ("Müller", "Müller x")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        *((f"2026-05-01T10:00:00{end}", "2026-05-01T09:00:00+00:00") for end in ("+01:00", " 01:00", " 0100")),
        ("2026-05-01 10:00:00.5 01:00", "2026-05-01T09:00:00.500000+00:00"),
        ("2026-05-01T10:00 05:30", "2026-05-01T04:30:00+00:00"),
        ("2026-05-01 10:00", "2026-05-01T10:00:00+00:00"),
        ("2026-05-01T10:00:00Z", "2026-05-01T10:00:00+00:00"),
        ("2026-05-01", "2026-05-01T00:00:00+00:00"),
    ],
)
def test_an_offset_with_a_space_for_the_plus_is_accepted(sent: str, meant: str) -> None:
    wanted = ListQuery.model_validate({"created_after": sent})
    assert wanted.created_after is not None
    assert wanted.created_after.astimezone(UTC).isoformat() == meant


def test_a_restart_changes_only_the_given_fields() -> None:
    assert Restart().changes() == {}
    assert Restart(model="small", task=None).changes() == {"model": "small"}
    assert Restart(language=None, priority="high").changes() == {"language": None}
