"""Streams of a job's events, which a client can resume at any event, without gap or duplicate.

Events are rows, and a watcher stores the number of the last event that it sent. So a slow client costs no memory, and
any replica can continue a stream. Idle watchers share one polling query, and readers share a few connections, which
leaves the others to requests.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.database import Notifications
from common.web import Readiness
from common.web.identity import Identity
from jobs import metrics
from jobs.errors import TooManyWatchers
from jobs.repository import HistoryRepository
from jobs.repository.history import WAKE_WATCHERS
from jobs.schemas.transcripts import chunk_segments
from jobs.states import State
from jobs.tables import Chunk, Job, JobEvent

from .catalogue import JobCatalogue
from .resources import Resources

_PAGE: Final = 100
# A lost notification delays events by at most this time.
_CHECK_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 1.0
_READERS: Final = 4  # of the 10 to 20 connections to the database


@dataclass(eq=False, slots=True)
class _Watcher:
    """One client: the number of the last event that was sent to it, and its wake-up signal."""

    seq: int
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Watchers:
    """The clients of this process that follow jobs."""

    def __init__(
        self,
        engine: AsyncEngine,
        sessions: async_sessionmaker[AsyncSession],
        resources: Resources,
        readiness: Readiness,
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._resources = resources
        self._settings = resources.settings
        self._readiness = readiness
        self._waiting: dict[UUID, set[_Watcher]] = defaultdict(set)
        self._watchers = 0
        self._reading = asyncio.Semaphore(_READERS)

    async def run(self) -> None:
        """Wake the watchers of changed jobs for ever."""
        checked = monotonic()
        async with Notifications(self._engine, WAKE_WATCHERS) as notifications:
            while True:
                await notifications.wait(_POLL_SECONDS)
                for job_id in notifications.details():
                    for watcher in self._waiting.get(UUID(job_id), ()):
                        watcher.wake.set()
                if monotonic() - checked >= _CHECK_SECONDS:
                    await self._check()
                    checked = monotonic()

    async def _check(self) -> None:
        """Wake the watchers of jobs that have newer events or are deleted."""
        if not self._waiting:
            return
        async with self._sessions() as session:
            rows = await session.execute(select(Job.id, Job.last_event).where(Job.id.in_(list(self._waiting))))
            last = {row.id: row.last_event for row in rows}
        for job_id, watchers in self._waiting.items():
            for watcher in watchers:
                if job_id not in last or watcher.seq < last[job_id]:
                    watcher.wake.set()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Count one watcher while the block runs; raises TooManyWatchers."""
        if self._watchers >= self._settings.event_watchers:
            raise TooManyWatchers("This replica has reached its limit of event streams. Retry later.")
        self._watchers += 1
        metrics.EVENT_WATCHERS.inc()
        try:
            yield
        finally:
            self._watchers -= 1
            metrics.EVENT_WATCHERS.dec()

    async def is_over(self, who: Identity, job_id: UUID, after: int) -> bool:
        """Return whether a job has ended and has no event after a number; raises JobNotFound."""
        async with self._sessions() as session:
            job = await JobCatalogue(session, self._resources).get(who, job_id)
        return State(job.state).final and job.last_event <= after

    async def follow(self, job_id: UUID, seq: int) -> AsyncIterator[str]:
        """Yield the job's events after a number, as server-sent events.

        The stream ends with the job, when the job is deleted, when the service stops, and after a time limit; clients
        then reconnect by themselves and continue.
        """
        watcher = _Watcher(seq)
        self._waiting[job_id].add(watcher)
        try:
            yield "retry: 2000\n\n"
            ends = monotonic() + self._settings.event_stream_seconds
            sent = monotonic()
            watcher.wake.set()
            while monotonic() < ends and not self._readiness.draining:
                if watcher.wake.is_set():
                    watcher.wake.clear()
                    page, over = await self._read(job_id, watcher.seq)
                    for event, chunk in page:
                        watcher.seq = event.seq
                        yield _server_sent_event(event, chunk)
                    if over and not page:
                        return
                    if over or len(page) == _PAGE:
                        watcher.wake.set()
                    if page:
                        sent = monotonic()
                if monotonic() - sent >= self._settings.event_heartbeat_seconds:
                    sent = monotonic()
                    yield ": heartbeat\n\n"
                timeout = min(_CHECK_SECONDS, self._settings.event_heartbeat_seconds, ends - monotonic())
                await _wait(watcher.wake, timeout)
        finally:
            self._waiting[job_id].discard(watcher)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def _read(self, job_id: UUID, seq: int) -> tuple[list[tuple[JobEvent, Chunk | None]], bool]:
        """Return the next events, and whether they are the last."""
        async with self._reading, self._sessions() as session:
            # The state first: an event between the two queries is then found by the next read.
            state = await session.scalar(select(Job.state).where(Job.id == job_id))
            page = await HistoryRepository(session).after(job_id, seq, _PAGE)
        return page, state is None or State(state).final


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return


def _server_sent_event(event: JobEvent, chunk: Chunk | None) -> str:
    data: dict[str, Any] = {"seq": event.seq, **event.data}
    if event.kind == "segments":
        data["segments"] = [] if chunk is None else chunk_segments(chunk)
    # JSON has no line breaks, so it fits one data line.
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
