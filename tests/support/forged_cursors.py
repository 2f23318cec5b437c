"""Cursors that no listing gave out: built as ours are, with wrong values in them, and not built so at all."""

import base64
import json
from typing import Any, Final
from uuid import UUID

from hypothesis import strategies

ID: Final = str(UUID(int=7))
_MOMENTS: Final = (
    *("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00+00:00", "2026-01-01"),
    *("2026-01-01T00:00:00", "9999-12-31T23:59:59.999999+00:00", "2026-02-30T00:00:00Z", "-1", "now", "infinity"),
)
_NUMBERS: Final = (
    *(float("nan"), float("inf"), float("-inf"), 1e308, -0.0, 0, -1, 2**31, 2**63, 2**64, 10**200, True, False, None),
)
_TEXTS: Final = (
    "",
    "\x00",
    "\ud800",
    "a\ud800b",
    "é",
    "ada",
    "\\u0000",
    "x" * 200,
    *_MOMENTS,
    ID,
    f"uploads/{ID}/source",
)

_scalars = strategies.one_of(
    strategies.sampled_from([*_TEXTS, *_NUMBERS]),
    strategies.integers(),
    strategies.floats(),
    strategies.text(max_size=30),
)
_values = strategies.recursive(
    _scalars,
    lambda inner: (
        strategies.lists(inner, max_size=5) | strategies.dictionaries(strategies.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
_orders = strategies.tuples(
    strategies.sampled_from(["created_at", "finished_at", "duration", "x", 1, None]),
    strategies.sampled_from(["asc", "desc", "", None]),
    _values,
    strategies.sampled_from([ID, ID.upper(), "x", 7, None, [], "{" + ID + "}"]),
).map(list)


def sealed(document: Any) -> str:
    """A value as the cursors of all listings hold theirs."""
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


forged = strategies.one_of(
    _values.map(sealed),
    _orders.map(sealed),
    strategies.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")),
    strategies.text(max_size=60),
)
"""Any of them, as texts."""

_FOREIGN_IDS: Final[list[object]] = ["x", 7, None, [], "\ud800"]
_WRONG: Final[list[object]] = [5, float("nan"), 10**300, [], {}, None, True, *_MOMENTS[:3]]

SOME: Final[list[str]] = [
    *("", "x", "AA", "!!!!", "ä", "\x00", "[" * 300, sealed([[[[]]]]), sealed({}), sealed(None), sealed(float("inf"))),
    *(sealed(["created_at", "desc", wrong, ID]) for wrong in _WRONG),
    *(sealed(["duration", "desc", wrong, ID]) for wrong in _WRONG[1:]),
    *(sealed(["created_at", "desc", "2026-01-01T00:00:00+00:00", wrong]) for wrong in _FOREIGN_IDS),
    *map(sealed, [-1, 0, 2**63, 10**200, True, 1.5, "", "\x00", "\ud800"]),
]
"""A few of each kind, none of which any listing can have given out, for tests that ask over HTTP."""
