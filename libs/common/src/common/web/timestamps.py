"""Timestamps in query strings."""

import re
from typing import Any, Final

_LOST_PLUS: Final = re.compile(r"^(.*\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)$")


def restore_plus(value: Any) -> Any:
    """Return a timestamp with the plus sign of its offset, which a query string decodes as a space.

    `2026-05-01T10:00:00 01:00` is what a client sent as `…T10:00:00+01:00` without writing the plus sign as %2B.
    """
    return _LOST_PLUS.sub(r"\1+\2", value) if isinstance(value, str) else value
