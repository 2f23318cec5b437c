"""Whose turn it is with the engine, and which chunks take one turn together."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from transcriber.engines.base import DecodeOptions, Window, WindowResult
from transcriber.engines.process import EngineProcess
from transcriber.errors import WorkCancelled

from .cpu_time import cpu_seconds

BATCH: Final = 8  # windows per call to the engine
_COMING_PATIENCE: Final = 1.0  # seconds for the audio of chunks that are to share a call


@dataclass(slots=True)
class Spent:
    """What decoding cost, in seconds: by the clock, of the processor, and of a GPU that was ours alone meanwhile."""

    wall: float = 0.0
    cpu: float = 0.0
    gpu: float = 0.0

    def add(self, other: "Spent") -> None:
        """Add what something else cost."""
        self.wall += other.wall
        self.cpu += other.cpu
        self.gpu += other.gpu

    def share(self, part: float) -> "Spent":
        """A part of it."""
        return Spent(self.wall * part, self.cpu * part, self.gpu * part)


@dataclass(slots=True, eq=False)
class Request:
    """Windows of one chunk that want to be decoded; `wanted` raises WorkCancelled once nobody wants them."""

    key: str
    model: str
    windows: Sequence[Window]
    options: DecodeOptions
    wanted: Callable[[], None]
    alone: bool = False
    spent: Spent = field(default_factory=Spent)
    results: list[WindowResult] | None = None
    error: Exception | None = None

    @property
    def ended(self) -> bool:
        """It has its results, or will have none."""
        return self.results is not None or self.error is not None

    @property
    def samples(self) -> int:
        """How much audio it is."""
        return sum(len(window) for window in self.windows)

    def fits(self, other: "Request") -> bool:
        """Whether the two may be decoded together."""
        return not (self.alone or other.alone) and (self.model, self.options) == (other.model, other.options)


class Batcher:
    """Gives the engine to one call at a time, and lets chunks of several jobs that wait for it share a call.

    Sharing is for engines whose results do not depend on what else is in a batch, or where somebody asked for it. What
    shared a call that failed is tried again alone, by its next delivery.
    """

    def __init__(self, engine: EngineProcess, *, sharing: bool, on_gpu: bool, room: int = BATCH) -> None:
        """`room` is how many windows a call of several chunks may have."""
        self.sharing = sharing
        self._engine = engine
        self._on_gpu = on_gpu
        self._room = room
        self._turn = asyncio.Lock()
        self._waiting: list[Request] = []
        self._coming: set[str] = set()
        self._news = asyncio.Condition()

    def expect(self, keys: Iterable[str]) -> None:
        """Chunks with these keys are on their way to the same call, which waits for them a little."""
        self._coming.update(keys)

    async def arrived(self, key: str) -> None:
        """A chunk that may have been waited for is here, or will not come."""
        async with self._news:
            self._coming.discard(key)
            self._news.notify_all()

    async def decode(self, request: Request) -> list[WindowResult]:
        """Return one result per window, in order; raises WorkCancelled and whatever the engine raises."""
        self._waiting.append(request)
        try:
            await self.arrived(request.key)
            async with self._turn:
                if not request.ended:
                    await self._serve(request)
        finally:
            self._waiting.remove(request)
        if request.error is not None:
            raise request.error
        assert request.results is not None
        return request.results

    async def _serve(self, request: Request) -> None:
        request.wanted()
        await self._gather()
        batch = list(self._together(request))
        windows = [window for each in batch for window in each.windows]
        began, cpu = time.monotonic(), cpu_seconds(self._engine.pid)
        try:
            results = await self._engine.decode(request.model, windows, request.options)
        except Exception as error:
            for each in batch:
                each.error = error
            results = []
        wall = time.monotonic() - began
        used = max(0.0, cpu_seconds(self._engine.pid) - cpu)
        spent, samples = Spent(wall, used, wall if self._on_gpu else 0.0), sum(each.samples for each in batch)
        for each in batch:
            each.spent.add(spent.share(each.samples / samples))
            if each.error is None:
                each.results, results = results[: len(each.windows)], results[len(each.windows) :]

    async def _gather(self) -> None:
        """Wait for the chunks that are on their way."""
        try:
            async with asyncio.timeout(_COMING_PATIENCE), self._news:
                await self._news.wait_for(lambda: not self._coming)
        except TimeoutError:
            self._coming.clear()

    def _together(self, request: Request) -> Iterator[Request]:
        """Yield the request and those that share its call."""
        yield request
        room = self._room - len(request.windows)
        for other in self._waiting if self.sharing else ():
            if other is request or other.ended or len(other.windows) > room or not request.fits(other):
                continue
            try:
                other.wanted()
            except WorkCancelled:
                continue  # it will hear so itself
            room -= len(other.windows)
            yield other
