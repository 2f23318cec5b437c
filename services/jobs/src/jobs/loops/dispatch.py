"""The dispatcher: starts queued jobs in free slots and sends planned chunks to the workers, in fair turns.

Several replicas may run: a lock in the database serialises them, and each sees the commits of the one before.
"""

import asyncio
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.database import Notifications
from common.events import JobStarted
from common.messaging import outbox
from jobs import metrics
from jobs.repository import DispatchRepository, WorkerRepository
from jobs.repository.catalogue import WAKE_DISPATCH
from jobs.repository.dispatch import FULL_CHUNK
from jobs.scheduling.fairness import take_turns
from jobs.service import ConcurrencyLimits, History, WorkSender, of_job
from jobs.settings import Settings
from jobs.tables import Job

log = structlog.get_logger(__name__)

# A lost notification delays dispatch by at most this time.
_POLL_SECONDS = 1.0
# Pause after a round, so that many notifications at once cause one round.
_REST_SECONDS = 0.05
# Windows per worker in flight besides the chunk in progress, so that no worker waits for the next one: with two workers
# or more a full chunk that the first free worker takes, with one the small first chunks of other jobs. All of it is
# taken within the time of one chunk, which bounds the wait of a new job.
RESERVE = FULL_CHUNK // 2


class Dispatcher:
    """Dispatches after each change."""

    def __init__(self, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], settings: Settings) -> None:
        self._engine = engine
        self._sessions = sessions
        self._settings = settings

    async def run(self) -> None:
        """Dispatch for ever: on every notification, and once a second."""
        async with Notifications(self._engine, WAKE_DISPATCH) as notifications:
            while True:
                await self.dispatch()
                await asyncio.sleep(_REST_SECONDS)
                await notifications.wait(_POLL_SECONDS)

    async def dispatch(self) -> None:
        """Start jobs and send chunks, as far as there is room."""
        async with self._sessions.begin() as session:
            await DispatchRepository(session).lock()
            settings = await ConcurrencyLimits(session, self._settings).effective()
            await self._start_jobs(session, settings)
            await self._dispatch_chunks(session, settings)

    async def _start_jobs(self, session: AsyncSession, settings: Settings) -> None:
        queries = DispatchRepository(session)
        free = settings.max_concurrent_jobs - await queries.processing()
        if free <= 0:
            return
        queues = await queries.queued(free)
        busy = sum(queue.busy for queue in queues)
        # No window per owner: a single owner may use all slots.
        turns = take_turns(queues, limit=busy + free, window=busy + free)
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
        queues_of, now = await queries.chunk_queues(window)
        if not any(queue.waiting for queues in queues_of.values() for queue in queues):
            return
        workers = await WorkerRepository(session).live_by_model(self._settings.worker_timeout)
        work = WorkSender(session)
        for model, queues in queues_of.items():
            # Without a live worker the size of the fleet is unknown, so only the window of each job applies.
            fleet = workers.get(model, 0) * (settings.chunks_in_flight_per_worker * FULL_CHUNK + RESERVE)
            limit = fleet or len(queues) * window * FULL_CHUNK
            turns = take_turns(queues, limit=limit, window=window, now=now)
            for row in await queries.take_chunks(turns) if turns else ():
                with of_job(row, row.job_id):
                    await work.chunk(row)
                    log.info("chunk dispatched", chunk=row.chunk, model=model)


def _present(moment: datetime | None) -> datetime:
    assert moment is not None
    return moment
