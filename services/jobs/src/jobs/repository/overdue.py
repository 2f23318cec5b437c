"""Queries of the watchdog: overdue jobs and work, by the database's clock."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import Job

# Work in flight may wait in a queue while no worker is up: the timeout doubles with each dispatch, up to 32 times, so
# that a weekend without workers does not fill the queues with copies.
_DOUBLINGS = 5

_TAKE_STALE_CHUNKS = text("""
    WITH stale AS (
        SELECT chunks.job_id, chunks.attempt, chunks.chunk
        FROM chunks JOIN jobs ON jobs.id = chunks.job_id AND jobs.attempt = chunks.attempt
        WHERE chunks.state = 'dispatched' AND jobs.state = 'processing'
          AND chunks.dispatched_at
              < now() - CAST(:timeout AS interval) * power(2, least(chunks.dispatches - 1, CAST(:doublings AS int)))
        ORDER BY chunks.dispatched_at
        LIMIT 1000
        FOR UPDATE OF chunks SKIP LOCKED
    )
    UPDATE chunks SET dispatched_at = now(), dispatches = dispatches + 1
    FROM stale JOIN jobs ON jobs.id = stale.job_id
    WHERE chunks.job_id = stale.job_id AND chunks.attempt = stale.attempt AND chunks.chunk = stale.chunk
    RETURNING chunks.job_id, chunks.attempt, chunks.chunk, chunks.language, chunks.windows, chunks.dispatches,
              jobs.options, jobs.correlation_id, jobs.traceparent
""")

_COUNTS = text("""
    SELECT (SELECT count(*) FROM jobs WHERE state = 'queued') AS queued,
           (SELECT count(*) FROM jobs WHERE state = 'processing') AS processing,
           (SELECT count(*) FROM jobs WHERE state = 'enriching') AS enriching,
           (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float
            FROM jobs WHERE state = 'queued') AS oldest_queued_seconds,
           (SELECT count(*) FROM chunks JOIN jobs ON jobs.id = chunks.job_id AND jobs.attempt = chunks.attempt
            WHERE chunks.state = 'dispatched' AND jobs.state = 'processing') AS chunks_dispatched
""")


class OverdueRepository:
    """Finds and locks overdue rows; rows that another transaction has locked are left for the next round."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def try_lock(self) -> bool:
        """Take the lock of the watchdogs until the transaction ends; False if another replica has it."""
        query = text("SELECT pg_try_advisory_xact_lock(hashtextextended('jobs.watchdog/' || current_schema(), 0))")
        return bool(await self._session.scalar(query))

    async def past_deadline(self, deadline: timedelta) -> Sequence[Job]:
        """Return jobs whose attempt started longer ago than the deadline, locked."""
        return await self._locked(Job.state == text("'processing'"), Job.started_at < func.now() - deadline)

    async def not_enriched(self, timeout: timedelta) -> Sequence[Job]:
        """Return jobs that have waited for their metadata longer than this, locked."""
        return await self._locked(Job.state == text("'enriching'"), Job.transcribed_at < func.now() - timeout)

    async def take_stale_plans(self, timeout: timedelta) -> Sequence[Job]:
        """Mark the plan work of stuck jobs as dispatched again; return the jobs.

        A plan is also stuck when it has ended and the announcement of one of its chunks is missing.
        """
        incomplete = or_(Job.chunks_planned.is_(None), Job.chunks_known < Job.chunks_planned)
        return await self._take(timeout, Job.assembling_at.is_(None), incomplete)

    async def take_stale_assemblies(self, timeout: timedelta) -> Sequence[Job]:
        """Mark the assembly work of stuck jobs as dispatched again; return the jobs."""
        return await self._take(timeout, Job.assembling_at.is_not(None))

    async def take_stale_chunks(self, timeout: timedelta) -> Sequence[Any]:
        """Mark overdue chunks as dispatched again; return the fields of their work."""
        values = {"timeout": timeout, "doublings": _DOUBLINGS}
        return (await self._session.execute(_TAKE_STALE_CHUNKS, values)).all()

    async def counts(self) -> Any:
        """Return the number of jobs in each unfinished state, the wait of the oldest, and the chunks in flight."""
        return (await self._session.execute(_COUNTS)).one()

    async def restart_clocks(self) -> None:
        """Let the time of all running attempts count from now."""
        statement = update(Job).where(Job.state == text("'processing'")).values(started_at=func.now())
        await self._session.execute(statement, execution_options={"synchronize_session": False})

    async def _locked(self, *conditions: ColumnElement[bool]) -> Sequence[Job]:
        query = select(Job).where(*conditions).limit(100).with_for_update(skip_locked=True)
        return (await self._session.scalars(query)).all()

    async def _take(self, timeout: timedelta, *conditions: ColumnElement[bool]) -> Sequence[Job]:
        overdue_after = timeout * func.power(2, func.least(Job.work_dispatches - 1, _DOUBLINGS))
        progressed = func.greatest(Job.work_dispatched_at, Job.progressed_at)
        stale = (
            select(Job.id)
            .where(Job.state == text("'processing'"), *conditions, progressed < func.now() - overdue_after)
            .limit(100)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(Job)
            .where(Job.id.in_(stale.scalar_subquery()))
            .values(work_dispatched_at=func.now(), work_dispatches=Job.work_dispatches + 1)
            .returning(Job)
        )
        return (await self._session.scalars(statement, execution_options={"synchronize_session": False})).all()
