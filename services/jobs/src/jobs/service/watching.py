"""Following a job: its events as a stream that a client can resume anywhere, without gap or duplicate.

Events are rows; a watcher only remembers the number of the last one it sent. So a watcher costs the same however slow
its client is, and any replica can continue what another began. One that waits costs nothing: a single query looks
after all of them, and those that read share a few connections, so that they leave the others to requests.
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
_READERS: Final = 4  # of the connections to the database, of which there are 10 to 20


@dataclass(eq=False, slots=True)
class _Watcher:
    """One client: the number of the last event that it was sent, and what wakes it."""

    seq: int
    bell: asyncio.Event = field(default_factory=asyncio.Event)


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
        self._waiting: dict[UUID, set[_Watcher]] = defaultdict(set)
        self._watchers = 0
        self._reading = asyncio.Semaphore(_READERS)

    async def run(self) -> None:
        """Wake watchers for ever: those of the jobs that something happened to."""
        looked = monotonic()
        async with Notifications(self._engine, WAKE_WATCHERS) as doorbell:
            while True:
                await doorbell.wait(_POLL_SECONDS)
                for job_id in doorbell.details():
                    for watcher in self._waiting.get(UUID(job_id), ()):
                        watcher.bell.set()
                if monotonic() - looked >= _LOOK_SECONDS:
                    await self._look()
                    looked = monotonic()

    async def _look(self) -> None:
        """Wake those whose job has events that they were not sent, or is gone."""
        if not self._waiting:
            return
        async with self._sessions() as session:
            rows = await session.execute(select(Job.id, Job.last_event).where(Job.id.in_(list(self._waiting))))
            last = {row.id: row.last_event for row in rows}
        for job_id, watchers in self._waiting.items():
            for watcher in watchers:
                if job_id not in last or watcher.seq < last[job_id]:
                    watcher.bell.set()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Count one watcher while the block runs; raises TooManyWatchers."""
        if self._watchers >= self._settings.event_watchers:
            raise TooManyWatchers("This replica streams to as many clients as it may; try again in a moment.")
        self._watchers += 1
        metrics.EVENT_WATCHERS.inc()
        try:
            yield
        finally:
            self._watchers -= 1
            metrics.EVENT_WATCHERS.dec()

    async def is_over(self, who: Identity, job_id: UUID, after: int) -> bool:
        """Tell whether a job has ended and nothing happened to it after an event that a client has seen.

        Raises JobNotFound.
        """
        async with self._sessions() as session:
            job = await JobCatalogue(session, self._resources).get(who, job_id)
        return State(job.state).final and job.last_event <= after

    async def follow(self, job_id: UUID, seq: int) -> AsyncIterator[str]:
        """The job's events that follow a number, as server-sent events.

        Ends after the event of the job's end, when the job is deleted, when the service stops, and after an hour,
        when clients come back by themselves and continue where they were.
        """
        watcher = _Watcher(seq)
        self._waiting[job_id].add(watcher)
        try:
            yield "retry: 2000\n\n"
            ends = monotonic() + self._settings.event_stream_seconds
            heard = monotonic()
            watcher.bell.set()
            while monotonic() < ends and not self._readiness.draining:
                if watcher.bell.is_set():
                    watcher.bell.clear()
                    page, over = await self._read(job_id, watcher.seq)
                    for event, chunk in page:
                        watcher.seq = event.seq
                        yield _message(event, chunk)
                    if over and not page:
                        return
                    if over or len(page) == _PAGE:
                        watcher.bell.set()
                    if page:
                        heard = monotonic()
                if monotonic() - heard >= self._settings.event_heartbeat_seconds:
                    heard = monotonic()
                    yield ": still here\n\n"
                patience = min(_LOOK_SECONDS, self._settings.event_heartbeat_seconds, ends - monotonic())
                await _rung(watcher.bell, patience)
        finally:
            self._waiting[job_id].discard(watcher)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def _read(self, job_id: UUID, seq: int) -> tuple[list[tuple[JobEvent, Chunk | None]], bool]:
        """Events that follow, and whether none can follow them."""
        async with self._reading, self._sessions() as session:
            # First the state: what happens between the two questions is then seen by the next look.
            state = await session.scalar(select(Job.state).where(Job.id == job_id))
            page = await HistoryRepository(session).after(job_id, seq, _PAGE)
        return page, state is None or State(state).final


async def _rung(bell: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return


def _message(event: JobEvent, chunk: Chunk | None) -> str:
    data: dict[str, Any] = {"seq": event.seq, **event.data}
    if event.kind == "segments":
        data["segments"] = [] if chunk is None else chunk_segments(chunk)
    # JSON has no line breaks of its own, so one line of data holds it.
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
