"""Work that may have killed a worker runs alone, so that it takes nothing else with it once more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import NotNow


class Caution:
    """The order of work in one process: any number of ordinary pieces side by side, or one suspect alone."""

    def __init__(self) -> None:
        """Nothing is in hand."""
        self._ordinary = 0
        self._free = asyncio.Event()  # of suspects
        self._free.set()
        self._empty = asyncio.Event()  # of ordinary work
        self._empty.set()

    @property
    def suspecting(self) -> bool:
        """Tell whether a suspect is in hand, or waits to be alone."""
        return not self._free.is_set()

    @asynccontextmanager
    async def holding(self, *, suspect: bool) -> AsyncIterator[None]:
        """Wait for the turn and have it; raises NotNow for a second suspect, which must not die of the first."""
        if suspect:
            async with self._alone():
                yield
            return
        while self.suspecting:
            await self._free.wait()
        self._ordinary += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._ordinary -= 1
            if not self._ordinary:
                self._empty.set()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        if self.suspecting:
            raise NotNow("other work that may have killed a worker is in hand")
        self._free.clear()
        try:
            await self._empty.wait()
            yield
        finally:
            self._free.set()
