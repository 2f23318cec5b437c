"""Foreign JSON becomes storable without losing more than it must."""

from datetime import UTC, datetime

from jobs.storable import storable


def test_plain_values_stay_as_they_are() -> None:
    value = {"text": "Zoë 🎧", "numbers": [1, 2.5, True, None], "nested": {"a": []}}
    assert storable(value) == value


def test_what_postgresql_refuses_is_replaced() -> None:
    assert storable({"a\x00": ["x\x00y", "\ud800"]}) == {"a�": ["x�y", "?"]}


def test_what_json_cannot_hold_becomes_text() -> None:
    assert storable([b"abc\xff", datetime(2026, 1, 1, tzinfo=UTC)]) == ["abc�", "2026-01-01 00:00:00+00:00"]
