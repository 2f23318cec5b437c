"""The live end of the log streams: one subscription of this replica, shared by everybody who watches."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from common.messaging import ArchivedLine, ArchivedLines
from gateway import metrics
from gateway.errors import TooManyViewers

log = structlog.get_logger(__name__)

#: The stream of what all services say, with or without a job.
SYSTEM = "system"
LATE_SECONDS = 0.1


class Viewer:
    """What one viewer has not been sent yet, up to a limit; who falls further behind is marked as too slow.

    The lines themselves are shared by all viewers. `behind` says that lines may be missing before those queued here:
    the archive has them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.behind = False
        self._lines: deque[ArchivedLine] = deque()
        self._arrived = asyncio.Event()
        self.too_slow = asyncio.Event()

    def offer(self, line: ArchivedLine) -> None:
        """Queue a line, or mark the viewer as too slow."""
        if len(self._lines) >= self.limit:
            self.too_slow.set()
            return
        self._lines.append(line)
        self._arrived.set()

    def miss(self) -> None:
        """Note that lines were lost on their way to this replica."""
        self.behind = True
        self._arrived.set()

    def take(self) -> list[ArchivedLine]:
        """Everything that is queued, oldest first; may be empty."""
        lines = list(self._lines)
        self._lines.clear()
        self._arrived.clear()
        return lines

    async def wait(self) -> None:
        """Return when something is queued or was missed."""
        await self._arrived.wait()


class LogHub:
    """Hands each line that the archive has numbered to the viewers of its job and to those of the system's stream."""

    def __init__(self, max_viewers: int, buffered: int) -> None:
        self._max_viewers = max_viewers
        self._buffered = buffered
        self._viewers: dict[str, set[Viewer]] = {}
        self._count = 0
        # How far everything is handed on, and what was heard that does not follow on it.
        self._head: int | None = None
        self._early: list[ArchivedLines] = []
        self._waiting: asyncio.TimerHandle | None = None

    @contextmanager
    def watch(self, stream: str) -> Iterator[Viewer]:
        """A viewer of a job's lines (by its id) or of SYSTEM's from now on; raises TooManyViewers."""
        if self._count >= self._max_viewers:
            raise TooManyViewers(f"{self._max_viewers} people are watching logs already; try again later.")
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
        """Take from the bus what the archive says."""
        try:
            self._early.append(ArchivedLines.parse(body))
        except ValueError as error:
            log.warning("what the archive says is not readable", error=str(error))
            return
        self._early.sort(key=lambda said: said.previous)
        if self._head is None:
            self._give_up()
        while self._early and self._early[0].previous <= (self._head or 0):
            self._hand_on(self._early.pop(0))
        if self._early and self._waiting is None:
            # Replicas of the archive speak for themselves: what comes before may just be a little late.
            self._waiting = asyncio.get_running_loop().call_later(LATE_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """Something is lost: viewers find it in the archive, and skip it if it comes after all."""
        self._waiting = None
        if not self._early:
            return
        metrics.LOG_GAPS.inc()
        for watching in self._viewers.values():
            for viewer in watching:
                viewer.miss()
        for said in self._early:
            self._hand_on(said)
        self._early.clear()

    def _hand_on(self, said: ArchivedLines) -> None:
        self._head = max(self._head or 0, said.upto)
        for line in said.lines:
            for stream in (SYSTEM, line.job_id) if line.job_id else (SYSTEM,):
                for viewer in self._viewers.get(stream, ()):
                    viewer.offer(line)
