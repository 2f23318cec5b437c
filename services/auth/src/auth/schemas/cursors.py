"""Positions in the listings of accounts and of the audit trail."""

from common.web.cursors import InvalidCursor, decode

_LARGEST = 2**63 - 1


def name(cursor: str | None) -> str | None:
    """The position in a listing by name; raises InvalidCursor."""
    if cursor is None:
        return None
    position = decode(cursor)
    if not isinstance(position, str) or not position:
        raise InvalidCursor
    return position


def number(cursor: str | None) -> int | None:
    """The position in a listing by number; raises InvalidCursor."""
    if cursor is None:
        return None
    position = decode(cursor)
    if type(position) is not int or not 1 <= position <= _LARGEST:  # True is an int
        raise InvalidCursor
    return position
