"""Waiting for the object store when it is away, so that finished work is not thrown away."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from common.storage import StoreUnavailable

log = structlog.get_logger(__name__)

PATIENCE: Final = 600.0
"""Seconds to go on trying: well below the half hour after which the broker takes work away."""

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0

T = TypeVar("T")


async def patiently(attempt: Callable[[], Awaitable[T]], *, seconds: float = PATIENCE) -> T:
    """Do what `attempt` does, again and again while the store is unavailable; raises StoreUnavailable in the end."""
    deadline = asyncio.get_running_loop().time() + seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except StoreUnavailable as error:
            if asyncio.get_running_loop().time() + pause > deadline:
                raise
            log.warning("store unavailable, waiting", pause_seconds=pause, error=str(error))
        await asyncio.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311 (jitter)
        pause = min(2 * pause, _LONGEST_PAUSE)
