"""Cursors of the listing: a forged cursor is refused, or holds a position that the database can compare."""

import math
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given, settings

from common.web.cursors import InvalidCursor
from jobs.schemas.listing import Cursor, ListQuery, Order, SortKey
from support.forged_cursors import ID, forged, sealed

ORDERS: list[tuple[Any, Any]] = [(sort, order) for sort in get_args(SortKey) for order in get_args(Order)]


@settings(max_examples=400)
@given(forged)
def test_a_forged_cursor_is_refused_or_can_be_compared(text: str) -> None:
    for sort, order in ORDERS:
        try:
            position = Cursor.decode(text, ListQuery(sort=sort, order=order))
        except InvalidCursor:
            continue
        if sort == "duration":
            assert isinstance(position.value, float)
            assert math.isfinite(position.value)
        else:
            assert isinstance(position.value, datetime)
            assert position.value.tzinfo is UTC
            assert position.value.year > 1


@pytest.mark.parametrize("value", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+00:00", 5, "x", None, [], {}])
def test_an_impossible_time_is_refused(value: object) -> None:
    with pytest.raises(InvalidCursor):
        Cursor.decode(sealed(["created_at", "desc", value, ID]), ListQuery())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, True, "1.5", None])
def test_an_impossible_duration_is_refused(value: object) -> None:
    with pytest.raises(InvalidCursor):
        Cursor.decode(sealed(["duration", "desc", value, ID]), ListQuery(sort="duration"))
