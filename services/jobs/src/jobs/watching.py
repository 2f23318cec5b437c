"""Following a job: its events as a stream that a client can resume anywhere, without gap or duplicate.

Events are rows; a watcher only remembers the number of the last one it sent. So a watcher costs the same however slow
its client is, and any replica can continue what another began.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.database import Notifications
from common.web import Readiness
from common.web.identity import Identity

from . import metrics
from .errors import TooManyWatchers
from .repository import HistoryRepository
from .repository.history import WAKE_WATCHERS
from .resources import Resources
from .service import JobCatalogue
from .states import State
from .tables import Chunk, Job, JobEvent
from .transcripts import chunk_segments

_PAGE: Final = 100
# A notification may be lost with its connection; nobody should wait longer than this for that reason.
_LOOK_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 1.0


class Watchers:
    """The clients of this process that follow jobs."""

    def __init__(
        self,
        engine: AsyncEngine,
        sessions: async_sessionmaker[AsyncSession],
        resources: Resources,
        readiness: Readiness,
    ) -> None:
        """Connects when it runs."""
        self._engine = engine
        self._sessions = sessions
        self._resources = resources
        self._settings = resources.settings
        self._readiness = readiness
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._watchers = 0

    async def run(self) -> None:
        """Wake watchers for ever: those of the jobs that something happened to."""
        async with Notifications(self._engine, WAKE_WATCHERS) as doorbell:
            while True:
                await doorbell.wait(_POLL_SECONDS)
                for job_id in doorbell.details():
                    for bell in self._waiting.get(UUID(job_id), ()):
                        bell.set()

    async def is_over(self, who: Identity, job_id: UUID, after: int) -> bool:
        """Tell whether a job has ended and nothing happened to it after an event that a client has seen.

        Raises JobNotFound.
        """
        async with self._sessions() as session:
            job = await JobCatalogue(session, self._resources).get(who, job_id)
        return State(job.state).final and job.last_event <= after

    def follow(self, job_id: UUID, after: int) -> AsyncIterator[str]:
        """The job's events that follow a number, as server-sent events; raises TooManyWatchers.

        Ends after the event of the job's end, when the job is deleted, when the service stops, and after an hour,
        when clients come back by themselves and continue where they were.
        """
        if self._watchers >= self._settings.event_watchers:
            raise TooManyWatchers("this replica streams to as many clients as it may; try again in a moment")
        return self._follow(job_id, after)

    async def _follow(self, job_id: UUID, seq: int) -> AsyncIterator[str]:
        bell = asyncio.Event()
        self._watchers += 1
        metrics.EVENT_WATCHERS.inc()
        self._waiting[job_id].add(bell)
        try:
            yield "retry: 2000\n\n"
            ends = monotonic() + self._settings.event_stream_seconds
            heard = monotonic()
            while monotonic() < ends and not self._readiness.draining:
                bell.clear()
                page, over = await self._read(job_id, seq)
                for event, chunk in page:
                    seq = event.seq
                    yield _message(event, chunk)
                if page:
                    heard = monotonic()
                elif over:
                    return
                elif monotonic() - heard >= self._settings.event_heartbeat_seconds:
                    heard = monotonic()
                    yield ": still here\n\n"
                if len(page) < _PAGE and not over:
                    await _rung(bell)
        finally:
            self._watchers -= 1
            metrics.EVENT_WATCHERS.dec()
            self._waiting[job_id].discard(bell)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def _read(self, job_id: UUID, seq: int) -> tuple[list[tuple[JobEvent, Chunk | None]], bool]:
        """Events that follow, and whether none can follow them."""
        async with self._sessions() as session:
            # First the state: what happens between the two questions is then seen by the next look.
            state = await session.scalar(select(Job.state).where(Job.id == job_id))
            page = await HistoryRepository(session).after(job_id, seq, _PAGE)
        return page, state is None or State(state).final


async def _rung(bell: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            await bell.wait()
    except TimeoutError:
        return


def _message(event: JobEvent, chunk: Chunk | None) -> str:
    data: dict[str, Any] = {"seq": event.seq, **event.data}
    if event.kind == "segments":
        data["segments"] = [] if chunk is None else chunk_segments(chunk)
    # JSON has no line breaks of its own, so one line of data holds it.
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
