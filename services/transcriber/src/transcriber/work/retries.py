"""Retry calls of the object store while it is unavailable, so that finished work is not lost."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from common.storage import StoreUnavailable

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = 600.0
"""Seconds to retry: well below the half hour after which the broker requeues unacknowledged work."""

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0

T = TypeVar("T")


async def retry(attempt: Callable[[], Awaitable[T]], *, seconds: float = RETRY_SECONDS) -> T:
    """Await `attempt`, again with growing pauses while the store is unavailable; finally raises StoreUnavailable."""
    deadline = asyncio.get_running_loop().time() + seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except StoreUnavailable as error:
            if asyncio.get_running_loop().time() + pause > deadline:
                raise
            log.warning("store unavailable, retrying", pause_seconds=pause, error=str(error))
        await asyncio.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311 (jitter)
        pause = min(2 * pause, _LONGEST_PAUSE)
