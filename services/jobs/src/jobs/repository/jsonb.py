"""Foreign JSON made fit for PostgreSQL, whose JSON has neither U+0000 nor half a surrogate pair."""

from collections.abc import Mapping
from typing import Any


def storable(value: Any) -> Any:
    """Return the value with unstorable characters replaced; what JSON cannot hold becomes its text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.encode(errors="replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
