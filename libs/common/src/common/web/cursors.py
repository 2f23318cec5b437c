"""Opaque cursors of listings, which are validated when a client sends them."""

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
        super().__init__("The cursor was not issued by this listing. Start again without a cursor.")


def encode(position: Any) -> str:
    """Return a position, which is a JSON value, as a URL-safe string."""
    document = json.dumps(position, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode(cursor: str) -> Any:
    """Return the position in a cursor; raises InvalidCursor for a cursor that `encode` did not create.

    Its strings can be stored in PostgreSQL: they contain neither U+0000 nor lone surrogates.
    """
    with checked():
        document = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        position = json.loads(document)
        if "\\u0000" in document or encode(position) != cursor:
            raise ValueError("not created by encode")
        return position


@contextmanager
def checked() -> Iterator[None]:
    """Convert the errors of parsing a forged position to InvalidCursor."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise InvalidCursor from error
