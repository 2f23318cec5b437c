"""Live log lines: one subscription of this replica, shared by all its viewers."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from common.events.archive import ArchivedBatch, ArchivedRecord
from gateway import metrics
from gateway.errors import TooManyViewers

log = structlog.get_logger(__name__)

#: The stream of all log lines, with or without a job.
SYSTEM = "system"
LATE_SECONDS = 0.1


class Viewer:
    """The queue of one viewer, with a limit; a viewer that exceeds it is marked as too slow.

    All viewers share the lines. `behind` means that lines before the queued ones may be missing: the archive has them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.behind = False
        self._lines: deque[ArchivedRecord] = deque()
        self._arrived = asyncio.Event()
        self.too_slow = asyncio.Event()

    def offer(self, line: ArchivedRecord) -> None:
        """Queue a line, or mark the viewer as too slow."""
        if len(self._lines) >= self.limit:
            self.too_slow.set()
            return
        self._lines.append(line)
        self._arrived.set()

    def miss(self) -> None:
        """Note that lines were lost on the way to this replica."""
        self.behind = True
        self._arrived.set()

    def take(self) -> list[ArchivedRecord]:
        """Remove and return the queued lines, oldest first."""
        lines = list(self._lines)
        self._lines.clear()
        self._arrived.clear()
        return lines

    async def wait(self) -> None:
        """Return when lines are queued or missing."""
        await self._arrived.wait()


class LogHub:
    """Queues each archived line for the viewers of its job and of the system stream."""

    def __init__(self, max_viewers: int, buffered: int) -> None:
        self._max_viewers = max_viewers
        self._buffered = buffered
        self._viewers: dict[str, set[Viewer]] = {}
        self._count = 0
        # The cursor up to which all lines were queued, and batches that do not follow it directly.
        self._head: int | None = None
        self._early: list[ArchivedBatch] = []
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def watch(self, stream: str) -> Iterator[Viewer]:
        """A viewer of a job's lines (by its id) or of SYSTEM; raises TooManyViewers."""
        if self._count >= self._max_viewers:
            raise TooManyViewers(f"This server already has {self._max_viewers} log viewers; try again later.")
        viewer = Viewer(self._buffered)
        self._viewers.setdefault(stream, set()).add(viewer)
        self._count += 1
        try:
            with metrics.LOG_VIEWERS.track_inprogress():
                yield viewer
        finally:
            self._count -= 1
            watching = self._viewers[stream]
            watching.discard(viewer)
            if not watching:
                del self._viewers[stream]

    async def on_archived(self, _routing_key: str, body: bytes) -> None:
        """Consume a batch of lines that the archive has numbered."""
        try:
            self._early.append(ArchivedBatch.parse(body))
        except ValueError as error:
            log.warning("archive message unreadable", error=str(error))
            return
        self._early.sort(key=lambda batch: batch.previous)
        if self._head is None:
            self._skip_gap()
        while self._early and self._early[0].previous <= (self._head or 0):
            self._queue(self._early.pop(0))
        if self._early and self._timer is None:
            # Each replica of the archive publishes on its own: earlier batches may arrive slightly later.
            self._timer = asyncio.get_running_loop().call_later(LATE_SECONDS, self._skip_gap)

    def _skip_gap(self) -> None:
        """Skip the missing lines: viewers read them from the archive, and ignore them if they arrive later."""
        self._timer = None
        if not self._early:
            return
        metrics.LOG_GAPS.inc()
        for watching in self._viewers.values():
            for viewer in watching:
                viewer.miss()
        for batch in self._early:
            self._queue(batch)
        self._early.clear()

    def _queue(self, batch: ArchivedBatch) -> None:
        self._head = max(self._head or 0, batch.upto)
        for line in batch.lines:
            for stream in (SYSTEM, line.job_id) if line.job_id else (SYSTEM,):
                for viewer in self._viewers.get(stream, ()):
                    viewer.offer(line)
