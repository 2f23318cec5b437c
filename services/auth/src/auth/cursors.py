"""Positions in a listing, opaque to clients."""

import base64
import binascii

from .errors import InvalidCursor

_NOT_OURS = "The cursor is not one that this listing gave out."
_LARGEST = 2**63 - 1


def encode(position: str | int) -> str:
    """The last item that was shown as a URL-safe string."""
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def name(cursor: str | None) -> str | None:
    """The position in a listing by name; raises InvalidCursor."""
    if cursor is None:
        return None
    try:
        position = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise InvalidCursor(_NOT_OURS) from error
    if not position or "\0" in position:
        raise InvalidCursor(_NOT_OURS)
    return position


def number(cursor: str | None) -> int | None:
    """The position in a listing by number; raises InvalidCursor."""
    position = name(cursor)
    if position is None:
        return None
    if not (position.isascii() and position.isdigit()) or len(position) > 19 or int(position) > _LARGEST:
        raise InvalidCursor(_NOT_OURS)
    return int(position)
