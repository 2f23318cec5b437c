"""The live end of the log stream: one subscription of this replica, shared by everybody who watches a job."""

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from . import metrics
from .errors import TooManyViewers

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log record as it goes to viewers: its id, its time (ISO 8601, UTC) and the JSON text."""

    log_id: str
    timestamp: str
    text: str


class Viewer:
    """What one viewer has not been sent yet, up to a limit; who falls further behind is marked as too slow.

    The lines themselves are shared by all viewers of a job.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lines: deque[LogLine] = deque()
        self._arrived = asyncio.Event()
        self.too_slow = asyncio.Event()

    def offer(self, line: LogLine) -> None:
        """Queue a record, or mark the viewer as too slow."""
        if len(self._lines) >= self.limit:
            self.too_slow.set()
            return
        self._lines.append(line)
        self._arrived.set()

    def take(self) -> list[LogLine]:
        """Everything that is queued, oldest first; may be empty."""
        lines = list(self._lines)
        self._lines.clear()
        self._arrived.clear()
        return lines

    async def wait(self) -> None:
        """Return when something is queued."""
        await self._arrived.wait()


class LogHub:
    """Hands each log record of a job to the viewers of that job."""

    def __init__(self, max_viewers: int, buffered: int) -> None:
        self._max_viewers = max_viewers
        self._buffered = buffered
        self._viewers: dict[str, set[Viewer]] = {}
        self._count = 0

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Viewer]:
        """A viewer of the job's records from now on; raises TooManyViewers."""
        if self._count >= self._max_viewers:
            raise TooManyViewers(f"{self._max_viewers} people are watching logs already; try again later.")
        viewer = Viewer(self._buffered)
        self._viewers.setdefault(job_id, set()).add(viewer)
        self._count += 1
        try:
            with metrics.LOG_VIEWERS.track_inprogress():
                yield viewer
        finally:
            self._count -= 1
            watching = self._viewers[job_id]
            watching.discard(viewer)
            if not watching:
                del self._viewers[job_id]

    async def on_record(self, routing_key: str, body: bytes) -> None:
        """Take a record from the bus; its routing key is `<service>.<level>.<job id or ->`."""
        viewers = self._viewers.get(routing_key.rpartition(".")[2])
        if not viewers:
            return
        line = parse(body)
        if line is None:
            log.debug("log record is not readable", routing_key=routing_key)
            return
        for viewer in viewers:
            viewer.offer(line)


def parse(body: bytes) -> LogLine | None:
    """A record from the bus; None when it is not a log record."""
    try:
        text = body.decode()
        record = json.loads(text)
        return LogLine(str(record["log_id"]), str(record["timestamp"]), text)
    except (ValueError, KeyError, TypeError):
        return None
