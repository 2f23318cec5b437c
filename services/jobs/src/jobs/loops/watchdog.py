"""The watchdog: sends work without progress again, ends overdue jobs, and deletes expired rows.

Any number of replicas may run it; a lock lets one work at a time. All times are differences on the database's clock.
"""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from jobs import metrics
from jobs.repository import (
    IdempotencyRepository,
    OverdueRepository,
    OwnerRepository,
    UsageRepository,
    WorkerRepository,
)
from jobs.service import (
    DAYS_KEPT,
    KEYS_KEPT,
    TOMBSTONES_KEPT,
    JobLifecycle,
    Resources,
    Verifications,
    WorkSender,
    of_job,
)
from jobs.states import REASONS, Reason, State

log = structlog.get_logger(__name__)

_WORKERS_KEPT = timedelta(days=1)


class Watchdog:
    """Checks jobs and work in flight every few seconds."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], resources: Resources) -> None:
        self._sessions = sessions
        self._resources = resources
        self._settings = resources.settings

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await self.check()
            await self.measure()
            await asyncio.sleep(self._settings.watchdog_interval_seconds)

    async def check(self) -> None:
        """End overdue jobs, send stuck work again, and delete expired rows."""
        async with self._sessions.begin() as session:
            if not await OverdueRepository(session).try_lock():
                return
            await self._end_overdue(session)
            await self._repeat_work(session, self._settings.work_timeout)
            await Verifications(session, self._resources).abort_overdue()
            await IdempotencyRepository(session).prune(KEYS_KEPT)
            await UsageRepository(session).prune(DAYS_KEPT)
            await OwnerRepository(session).prune(TOMBSTONES_KEPT)
            for worker in await WorkerRepository(session).prune(_WORKERS_KEPT):
                log.info("worker removed", worker=worker)

    async def repeat_everything(self, session: AsyncSession) -> None:
        """Send all work in flight again, after the broker lost it."""
        while await self._repeat_work(session, timedelta()):
            pass

    async def measure(self) -> None:
        """Set the gauges from the database, so that they are the same in every replica."""
        async with self._sessions() as session:
            counts = await OverdueRepository(session).counts()
            live = await WorkerRepository(session).live_by_model(self._settings.worker_timeout)
        for state in (State.QUEUED, State.PROCESSING, State.ENRICHING):
            metrics.JOBS_UNFINISHED.labels(state).set(getattr(counts, state))
        metrics.OLDEST_QUEUED.set(counts.oldest_queued_seconds)
        metrics.CHUNKS_IN_FLIGHT.set(counts.chunks_dispatched)
        metrics.LIVE_WORKERS.clear()
        for model, workers in live.items():
            metrics.LIVE_WORKERS.labels(model).set(workers)

    async def _end_overdue(self, session: AsyncSession) -> None:
        overdue = OverdueRepository(session)
        lifecycle = JobLifecycle(session, self._resources)
        for job in await overdue.past_deadline(self._settings.deadline):
            with of_job(job, job.id):
                sentence = REASONS[Reason.TIMED_OUT].format(limit=self._settings.deadline)
                await lifecycle.fail(job, Reason.TIMED_OUT, sentence)
        for job in await overdue.not_enriched(self._settings.enrichment_timeout):
            with of_job(job, job.id):
                await lifecycle.complete(job, Reason.ENRICHMENT_TIMED_OUT, REASONS[Reason.ENRICHMENT_TIMED_OUT])

    async def _repeat_work(self, session: AsyncSession, timeout: timedelta) -> int:
        """Send work again that had no progress for so long; return the number of messages."""
        overdue = OverdueRepository(session)
        work = WorkSender(session)
        plans = await overdue.take_stale_plans(timeout)
        for job in plans:
            with of_job(job, job.id):
                await work.plan(job, repeated=True)
                log.warning("work dispatched again", work="plan", dispatches=job.work_dispatches)
        assemblies = await overdue.take_stale_assemblies(timeout)
        for job in assemblies:
            with of_job(job, job.id):
                await work.assemble(job, repeated=True)
                log.warning("work dispatched again", work="assemble", dispatches=job.work_dispatches)
        chunks = await overdue.take_stale_chunks(timeout)
        for row in chunks:
            with of_job(row, row.job_id):
                await work.chunk(row, repeated=True)
                log.warning("work dispatched again", work="chunk", chunk=row.chunk, dispatches=row.dispatches)
        return len(plans) + len(assemblies) + len(chunks)
