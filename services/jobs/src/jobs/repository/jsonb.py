"""JSON from outside made storable: PostgreSQL's JSON holds neither U+0000 nor unpaired surrogates."""

from collections.abc import Mapping
from typing import Any


def sanitized(value: Any) -> Any:
    """Return the value with unstorable characters replaced; values that JSON cannot hold become text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {sanitized(str(key)): sanitized(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [sanitized(item) for item in value]
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.encode(errors="replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
