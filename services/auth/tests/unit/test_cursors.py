"""Cursors of the listings of accounts and of the audit trail."""

from contextlib import suppress

import pytest
from hypothesis import given

from auth.schemas import cursors
from common.web.cursors import InvalidCursor, encode
from support.forged_cursors import forged


@pytest.mark.parametrize("position", ["ada", "zoë", "50%", "a/b?c"])
def test_name_survives_the_round_trip(position: str) -> None:
    text = encode(position)
    assert position not in text
    assert cursors.name(text) == position


def test_number_survives_the_round_trip() -> None:
    assert cursors.number(encode(42)) == 42
    assert cursors.number(None) is None
    assert cursors.name(None) is None


@pytest.mark.parametrize("text", ["", "!", "a", "é", "_w", "AA", encode(7), encode(["ada"])])
def test_cursor_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        cursors.name(text)


@pytest.mark.parametrize("position", ["x", "1", "²", -1, 0, 2**63, 10**400, True, 1.0, None, [1], float("nan")])
def test_cursor_without_a_row_number_is_refused(position: object) -> None:
    with pytest.raises(InvalidCursor):
        cursors.number(encode(position))


@given(forged)
def test_forged_cursor_is_refused_or_valid_for_the_database(text: str) -> None:
    with suppress(InvalidCursor):
        found = cursors.name(text)
        assert found
        assert "\0" not in found.encode().decode()
    with suppress(InvalidCursor):
        number = cursors.number(text)
        assert number is not None
        assert 1 <= number < 2**63
