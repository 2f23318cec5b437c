"""The dispatchers: queued jobs get free slots, planned chunks get workers, both in fair turns.

Several replicas may run: they take turns by a lock in the database, and each sees what the one before committed.
"""

import asyncio
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.database import Notifications
from common.events import JobStarted
from common.messaging import outbox

from . import metrics
from .administration.concurrency import ConcurrencyStore
from .fairness import take_turns
from .repository import DispatchRepository, WorkerRepository
from .repository.catalogue import WAKE_DISPATCH
from .repository.dispatch import FULL_CHUNK
from .service import History, WorkSender, of_job
from .settings import Settings
from .tables import Job

log = structlog.get_logger(__name__)

# A notification may be lost with its connection; nobody should wait longer than this for that reason.
_POLL_SECONDS = 1.0
# After a round: what rings meanwhile is answered together, so that a crowd of jobs does not mean a crowd of rounds.
_REST_SECONDS = 0.05
# Windows per worker that are out besides the chunk in its hands, so that it does not wait for the next one: for two
# workers and more a full chunk that the first of them takes, for one alone the small first chunks of other jobs. All of
# it is taken within the time of one chunk, and so is what comes after it: a new job never waits longer than that.
RESERVE = FULL_CHUNK // 2


class Dispatcher:
    """Hands out slots and chunks whenever something has changed."""

    def __init__(self, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], settings: Settings) -> None:
        """Connects when it runs."""
        self._engine = engine
        self._sessions = sessions
        self._settings = settings

    async def run(self) -> None:
        """Dispatch for ever: when told so by a transaction, and once a second."""
        async with Notifications(self._engine, WAKE_DISPATCH) as doorbell:
            while True:
                await self.dispatch()
                await asyncio.sleep(_REST_SECONDS)
                await doorbell.wait(_POLL_SECONDS)

    async def dispatch(self) -> None:
        """Hand out what can be handed out now."""
        async with self._sessions.begin() as session:
            await DispatchRepository(session).one_at_a_time()
            settings = await ConcurrencyStore(session, self._settings).effective()
            await self._start_jobs(session, settings)
            await self._dispatch_chunks(session, settings)

    async def _start_jobs(self, session: AsyncSession, settings: Settings) -> None:
        queries = DispatchRepository(session)
        free = settings.max_concurrent_jobs - await queries.processing()
        if free <= 0:
            return
        lines = await queries.queued(free)
        busy = sum(line.busy for line in lines)
        # A queue's line has no window of its own: an owner alone may use all slots.
        turns = take_turns(lines, limit=busy + free, window=busy + free)
        if not turns:
            return
        for job in await queries.start(turns):
            with of_job(job, job.id):
                await self._started(session, job)

    async def _started(self, session: AsyncSession, job: Job) -> None:
        outbox.add(session, JobStarted(job_id=job.id, owner_id=job.owner_id, attempt=job.attempt))
        await WorkSender(session).plan(job)
        History(session).state(job)
        waited = (_present(job.started_at) - job.queued_at).total_seconds()
        metrics.QUEUE_SECONDS.observe(waited)
        log.info("job started", attempt=job.attempt, waited_seconds=round(waited, 3))

    async def _dispatch_chunks(self, session: AsyncSession, settings: Settings) -> None:
        queries = DispatchRepository(session)
        window = settings.chunks_in_flight_per_job
        lines_of, now = await queries.chunk_lines(window)
        if not any(line.waiting for lines in lines_of.values() for line in lines):
            return
        workers = await WorkerRepository(session).live_by_model(self._settings.worker_timeout)
        work = WorkSender(session)
        for model, lines in lines_of.items():
            # Without a live worker nothing is known about the fleet, so only the window of each job counts.
            fleet = workers.get(model, 0) * (settings.chunks_in_flight_per_worker * FULL_CHUNK + RESERVE)
            limit = fleet or len(lines) * window * FULL_CHUNK
            turns = take_turns(lines, limit=limit, window=window, now=now)
            for row in await queries.take_chunks(turns) if turns else ():
                with of_job(row, row.job_id):
                    await work.chunk(row)
                    log.info("chunk dispatched", chunk=row.chunk, model=model)


def _present(moment: datetime | None) -> datetime:
    assert moment is not None
    return moment
