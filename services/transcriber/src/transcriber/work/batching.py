"""Serialise the calls to the engine, and let small chunks of several jobs share one call."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from common.events import ChunkWork
from transcriber.engines.base import DecodeOptions, Window, WindowResult
from transcriber.engines.process import EngineProcess
from transcriber.errors import WorkCancelled
from transcriber.speech.packing import CHUNK_WINDOWS

from .cpu_time import cpu_seconds

BATCH: Final = 8  # windows per call to the engine
_FILL_TIMEOUT: Final = 1.0  # seconds to wait for the audio of chunks that are to share a call


@dataclass(slots=True)
class Cost:
    """The cost of decoding in seconds: wall time, CPU time, and time of a GPU that this call used alone."""

    wall: float = 0.0
    cpu: float = 0.0
    gpu: float = 0.0

    def add(self, other: "Cost") -> None:
        """Add another cost to this one."""
        self.wall += other.wall
        self.cpu += other.cpu
        self.gpu += other.gpu

    def share(self, part: float) -> "Cost":
        """Return a fraction of the cost."""
        return Cost(self.wall * part, self.cpu * part, self.gpu * part)


@dataclass(slots=True, eq=False)
class Request:
    """Windows of one chunk to decode; `check_cancelled` raises WorkCancelled once the job is cancelled.

    An `exclusive` request never shares a call.
    """

    key: str
    model: str
    windows: Sequence[Window]
    options: DecodeOptions
    check_cancelled: Callable[[], None]
    exclusive: bool = False
    cost: Cost = field(default_factory=Cost)
    results: list[WindowResult] | None = None
    error: Exception | None = None

    @property
    def finished(self) -> bool:
        """Whether it has results or an error."""
        return self.results is not None or self.error is not None

    @property
    def samples(self) -> int:
        """The number of samples of all windows."""
        return sum(len(window) for window in self.windows)

    def can_share(self, other: "Request") -> bool:
        """Whether the two may be decoded in one call."""
        return not (self.exclusive or other.exclusive) and (self.model, self.options) == (other.model, other.options)


class Batcher:
    """Runs one engine call at a time, and lets chunks that wait for the engine share a call.

    Calls are shared only if results do not depend on the other windows of a batch, or if the settings force it. When a
    shared call fails, every chunk of it fails, and its next delivery is decoded alone.
    """

    def __init__(self, engine: EngineProcess, *, sharing: bool, on_gpu: bool, capacity: int = BATCH) -> None:
        """`capacity` is how many windows a shared call may have."""
        self._sharing = sharing
        self._engine = engine
        self._on_gpu = on_gpu
        self._capacity = capacity
        self._turn = asyncio.Lock()
        self._waiting: list[Request] = []
        self._expected: set[str] = set()  # keys of chunks whose audio is still being fetched for a shared call
        self._changed = asyncio.Condition()

    async def fill(self, work: ChunkWork, take_more: Callable[[], Awaitable[ChunkWork | None]]) -> None:
        """Take further waiting chunks beside a small one, up to the size of a full chunk, to share its call."""
        windows = work.windows or CHUNK_WINDOWS
        while self._sharing and windows < CHUNK_WINDOWS:
            further = await take_more()
            if further is None:
                return
            self.expect(further.key)
            windows += further.windows or CHUNK_WINDOWS

    def expect(self, key: str) -> None:
        """Make the next call wait for this chunk, for at most a second."""
        self._expected.add(key)

    async def stop_expecting(self, key: str) -> None:
        """Stop to wait for a chunk: it has arrived, or it needs no decoding."""
        async with self._changed:
            self._expected.discard(key)
            self._changed.notify_all()

    async def decode(self, request: Request) -> list[WindowResult]:
        """Return one result per window, in order; raises WorkCancelled and the engine's errors."""
        self._waiting.append(request)
        try:
            await self.stop_expecting(request.key)
            async with self._turn:
                if not request.finished:
                    await self._call(request)
        finally:
            self._waiting.remove(request)
        if request.error is not None:
            raise request.error
        assert request.results is not None
        return request.results

    async def _call(self, request: Request) -> None:
        request.check_cancelled()
        await self._wait_for_expected()
        batch = list(self._batch(request))
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
        cost, samples = Cost(wall, used, wall if self._on_gpu else 0.0), sum(each.samples for each in batch)
        for each in batch:
            each.cost.add(cost.share(each.samples / samples))
            if each.error is None:
                each.results, results = results[: len(each.windows)], results[len(each.windows) :]

    async def _wait_for_expected(self) -> None:
        try:
            async with asyncio.timeout(_FILL_TIMEOUT), self._changed:
                await self._changed.wait_for(lambda: not self._expected)
        except TimeoutError:
            self._expected.clear()

    def _batch(self, request: Request) -> Iterator[Request]:
        """Yield the request and the waiting ones that share its call."""
        yield request
        left = self._capacity - len(request.windows)
        for other in self._waiting if self._sharing else ():
            if other is request or other.finished or len(other.windows) > left or not request.can_share(other):
                continue
            try:
                other.check_cancelled()
            except WorkCancelled:
                continue  # it raises the same when its own turn comes
            left -= len(other.windows)
            yield other
