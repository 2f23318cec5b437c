"""Waits of tests: poll until a condition holds, and fail with what was seen last."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

# Seconds after which a wait fails. It ends a run that is stuck; it does not measure speed.
LIMIT = 180.0
_SHORTEST, _LONGEST = 0.01, 0.1


class _Wait:
    """One wait: its limit, and what was seen so far."""

    def __init__(self, look: Callable[[], Any], what: str, seconds: float) -> None:
        self._what, self._seconds = what or getattr(look, "__qualname__", repr(look)), seconds
        self._start = time.monotonic()

    def pause(self, seen: object) -> float:
        """Return the seconds until the next look; raise AssertionError after the limit."""
        waited = time.monotonic() - self._start
        if waited >= self._seconds:
            raise AssertionError(f"not within {self._seconds:g} s: {self._what}; last seen: {seen!r}")
        return min(max(waited / 20, _SHORTEST), _LONGEST)


@overload
async def eventually(
    look: Callable[[], Awaitable[T | None]],
    where: Callable[[T], object] = bool,
    what: str = "",
    *,
    seconds: float = LIMIT,
    ignoring: type[Exception] | tuple[type[Exception], ...] = (),
) -> T: ...
@overload
async def eventually(
    look: Callable[[], T | None],
    where: Callable[[T], object] = bool,
    what: str = "",
    *,
    seconds: float = LIMIT,
    ignoring: type[Exception] | tuple[type[Exception], ...] = (),
) -> T: ...
async def eventually(
    look: Callable[[], Any],
    where: Callable[[Any], object] = bool,
    what: str = "",
    *,
    seconds: float = LIMIT,
    ignoring: type[Exception] | tuple[type[Exception], ...] = (),
) -> Any:
    """Call `look` (or await what it returns) until the result is not None and `where` holds for it, and return it.

    Exceptions of the types `ignoring` count as a result that does not hold yet. After `seconds` the test fails; the
    message names `what` was waited for and the last result.
    """
    wait = _Wait(look, what, seconds)
    while True:
        seen: Any
        try:
            seen = look()
            if inspect.isawaitable(seen):
                seen = await seen
            if seen is not None and where(seen):
                return seen
        except ignoring as error:
            seen = error
        await asyncio.sleep(wait.pause(seen))


def eventually_blocking(
    look: Callable[[], T | None],
    where: Callable[[T], object] = bool,
    what: str = "",
    *,
    seconds: float = LIMIT,
    ignoring: type[Exception] | tuple[type[Exception], ...] = (),
) -> T:
    """Do the same as `eventually` in a test without an event loop."""
    wait = _Wait(look, what, seconds)
    while True:
        seen: object
        try:
            value = look()
            if value is not None and where(value):
                return value
            seen = value
        except ignoring as error:
            seen = error
        time.sleep(wait.pause(seen))
