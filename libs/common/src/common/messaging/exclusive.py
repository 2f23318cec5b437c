"""Run work that may have crashed a worker alone, so that a second crash interrupts no other work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import RetryLater


class ExclusiveExecution:
    """A shared or exclusive lock of one process: ordinary tasks run together, a suspect task runs alone."""

    def __init__(self) -> None:
        self._ordinary = 0
        self._no_suspect = asyncio.Event()
        self._no_suspect.set()
        self._no_ordinary = asyncio.Event()
        self._no_ordinary.set()

    @property
    def requested(self) -> bool:
        """Whether a suspect task runs, or waits for the ordinary tasks to end."""
        return not self._no_suspect.is_set()

    @asynccontextmanager
    async def acquire(self, *, suspect: bool) -> AsyncIterator[None]:
        """Wait until the task may run; raises RetryLater for a second suspect, which could crash with the first."""
        if suspect:
            async with self._alone():
                yield
            return
        while self.requested:
            await self._no_suspect.wait()
        self._ordinary += 1
        self._no_ordinary.clear()
        try:
            yield
        finally:
            self._ordinary -= 1
            if not self._ordinary:
                self._no_ordinary.set()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        if self.requested:
            raise RetryLater("another task that may have crashed a worker is running")
        self._no_suspect.clear()
        try:
            await self._no_ordinary.wait()
            yield
        finally:
            self._no_suspect.set()
