"""Positions in listings as clients get them: opaque, and checked when they come back."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import Invalid


class InvalidCursor(Invalid):
    """The cursor was not issued by this listing."""

    code = "invalid_cursor"
    title = "Invalid cursor"

    def __init__(self) -> None:
        super().__init__("The cursor is not one that this listing gave out; begin again without it.")


def encode(position: Any) -> str:
    """Return a position, which is a JSON value, as a URL-safe string."""
    document = json.dumps(position, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode(cursor: str) -> Any:
    """Return the position in a cursor, whatever its form; raises InvalidCursor for what `encode` did not make.

    Texts in it can be stored: they have neither U+0000 nor half of a surrogate pair.
    """
    with checked():
        document = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        position = json.loads(document)
        if "\\u0000" in document or encode(position) != cursor:
            raise ValueError("not made by encode")
        return position


@contextmanager
def checked() -> Iterator[None]:
    """Turn the errors of reading a forged position into InvalidCursor."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise InvalidCursor from error
