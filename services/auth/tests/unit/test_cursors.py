"""Cursors: opaque, and checked when they come back."""

import base64

import pytest

from auth import cursors
from auth.errors import InvalidCursor


@pytest.mark.parametrize("position", ["ada", "zoë", "50%", "a/b?c"])
def test_name_survives_the_round_trip(position: str) -> None:
    text = cursors.encode(position)
    assert position not in text
    assert cursors.name(text) == position


def test_number_survives_the_round_trip() -> None:
    assert cursors.number(cursors.encode(42)) == 42
    assert cursors.number(None) is None
    assert cursors.name(None) is None


@pytest.mark.parametrize("text", ["", "!", "a", "é", base64.urlsafe_b64encode(b"\xff").decode(), "AA"])
def test_what_we_did_not_give_out_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        cursors.name(text)


@pytest.mark.parametrize("position", ["x", "-1", "²", str(2**63), "9" * 400])
def test_what_is_no_number_of_a_row_is_refused(position: str) -> None:
    with pytest.raises(InvalidCursor):
        cursors.number(cursors.encode(position))
