"""The limits of concurrent work, changed at run time, kept in the database, applied by dispatch and by the workers."""

from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.errors import WorkerNotKnown
from jobs.repository import ConcurrencyRepository, JobRepository, WorkerRepository
from jobs.schemas.concurrency import ConcurrencyView, NewConcurrency
from jobs.settings import Settings

log = structlog.get_logger(__name__)


class ConcurrencyLimits:
    """Reads and changes the limits."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self._session = session
        self._settings = settings
        self._limits = ConcurrencyRepository(session)

    async def effective(self) -> Settings:
        """Return the settings with the values that were changed at run time."""
        row = await self._limits.get()
        names = ("max_concurrent_jobs", "chunks_in_flight_per_job", "chunks_in_flight_per_worker")
        changes = {name: value for name in names if (value := getattr(row, name, None)) is not None}
        return self._settings.model_copy(update=changes) if changes else self._settings

    async def view(self) -> ConcurrencyView:
        """Return the limits in effect."""
        row, settings = await self._limits.get(), await self.effective()
        return ConcurrencyView(
            max_concurrent_jobs=settings.max_concurrent_jobs,
            chunks_in_flight_per_job=settings.chunks_in_flight_per_job,
            chunks_in_flight_per_worker=settings.chunks_in_flight_per_worker,
            paused_workers=[] if row is None else row.paused_workers,
            changed_at=None if row is None else row.changed_at,
            changed_by=None if row is None else row.changed_by,
        )

    async def change(self, new: NewConcurrency, by: UUID) -> ConcurrencyView:
        """Change the limits from the commit on; raises WorkerNotKnown."""
        known = await WorkerRepository(self._session).names()
        if unknown := sorted(set(new.paused_workers) - set(known)):
            raise WorkerNotKnown(unknown, known)
        await self._limits.put(**new.model_dump(), changed_by=by)
        JobRepository(self._session).wake_dispatch()
        log.warning("concurrency changed", by=str(by), **new.model_dump())
        return await self.view()

    async def paused_workers(self) -> list[str]:
        """Return the names of the paused workers."""
        row = await self._limits.get()
        return [] if row is None else row.paused_workers
