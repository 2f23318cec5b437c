"""JSON from outside becomes storable."""

from datetime import UTC, datetime

from jobs.repository.jsonb import sanitized


def test_storable_values_are_unchanged() -> None:
    value = {"text": "Zoë 🎧", "numbers": [1, 2.5, True, None], "nested": {"a": []}}
    assert sanitized(value) == value


def test_unstorable_characters_are_replaced() -> None:
    assert sanitized({"a\x00": ["x\x00y", "\ud800"]}) == {"a�": ["x�y", "?"]}


def test_other_types_become_text() -> None:
    assert sanitized([b"abc\xff", datetime(2026, 1, 1, tzinfo=UTC)]) == ["abc�", "2026-01-01 00:00:00+00:00"]
