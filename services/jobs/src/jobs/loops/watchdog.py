"""The watchdog: sends work again that shows no progress, and ends jobs whose time is over.

Any number of replicas may run it; one at a time does the work. All times are differences on the database's clock.
"""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from . import metrics
from .repository import IdempotencyRepository, OverdueRepository, OwnerRepository, UsageRepository, WorkerRepository
from .resources import Resources
from .service import DAYS_KEPT, KEPT, TOMBSTONE_KEPT, JobLifecycle, Verifying, WorkSender, of_job
from .states import REASONS, Reason, State

log = structlog.get_logger(__name__)

_FORGET_WORKERS_AFTER = timedelta(days=1)


class Watchdog:
    """Looks at everything that is out, every few seconds."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], resources: Resources) -> None:
        """Connects when it runs."""
        self._sessions = sessions
        self._resources = resources
        self._settings = resources.settings

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await self.measure()
            await asyncio.sleep(self._settings.watchdog_interval_seconds)

    async def look(self) -> None:
        """End what is past its deadline, send again what is stuck, forget workers long gone."""
        async with self._sessions.begin() as session:
            if not await OverdueRepository(session).sole():
                return
            await self._end_overdue(session)
            await self._repeat_work(session, self._settings.work_timeout)
            await Verifying(session, self._resources).break_off()
            await IdempotencyRepository(session).prune(KEPT)
            await UsageRepository(session).prune(DAYS_KEPT)
            await OwnerRepository(session).prune(TOMBSTONE_KEPT)
            for worker in await WorkerRepository(session).forget(_FORGET_WORKERS_AFTER):
                log.info("worker forgotten", worker=worker)

    async def repeat_everything(self, session: AsyncSession) -> None:
        """Send all work that is out once more: the broker has lost it."""
        while await self._repeat_work(session, timedelta()):
            pass

    async def measure(self) -> None:
        """Set the gauges from the database, so that every replica tells the same."""
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
        """Send work again that shows no progress for so long; return how much there was."""
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
