"""The end of many jobs at once: what a reset, and the end of an account, mean for the catalogue."""

import structlog
from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import JobCancelled, JobDeleted, ResetRequested, UserDeleted
from common.messaging import outbox
from jobs import metrics
from jobs.repository import JobRepository, OwnerRepository
from jobs.resources import Resources
from jobs.states import State
from jobs.tables import DeadLetter, Job, LogLine

log = structlog.get_logger(__name__)

_BATCH = 500


class Reset:
    """Deletes many jobs, each as its owner would: cleanup and metadata hear of each."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        """Work inside the caller's transaction."""
        self._session = session
        self._resources = resources

    async def carry_out(self, event: ResetRequested) -> None:
        """Delete the jobs that were created before the reset was asked for, with their logs and dead letters."""
        deleted = await self._delete(Job.created_at <= event.occurred_at)
        log.warning("all jobs are deleted", jobs=deleted, requested_by=str(event.requested_by))

    async def of_deleted_user(self, event: UserDeleted) -> None:
        """Delete the jobs of an account that is gone, with their logs and dead letters, and its resumable uploads.

        The tombstone comes first: a creation that found the account present is committed by then, so its job is among
        those that are deleted, and every later one is refused.
        """
        owners = OwnerRepository(self._session)
        await owners.mark_deleted(event.user_id)
        for job_id in await owners.forget_belongings(event.user_id):
            # For those who keep something of it an upload that is to become a job is one already.
            outbox.add(self._session, JobDeleted(job_id=job_id, owner_id=event.user_id))
        deleted = await self._delete(Job.owner_id == event.user_id)
        log.warning("all jobs of a deleted account are deleted", jobs=deleted, requested_by=str(event.deleted_by))

    async def _delete(self, which: ColumnElement[bool]) -> int:
        deleted = 0
        while batch := await self._batch(which):
            for job in batch:
                if not State(job.state).final:
                    outbox.add(self._session, JobCancelled(job_id=job.id, owner_id=job.owner_id, attempt=job.attempt))
                    self._resources.cancellations.after_commit(self._session, job.id, job.attempt)
                    metrics.JOBS_FINISHED.labels(State.CANCELLED, "").inc()
                outbox.add(self._session, JobDeleted(job_id=job.id, owner_id=job.owner_id))
            ids = [job.id for job in batch]
            for statement in (
                delete(LogLine).where(LogLine.job_id.in_(ids)),
                delete(DeadLetter).where(DeadLetter.job_id.in_(ids)),
                delete(Job).where(Job.id.in_(ids)),
            ):
                await self._session.execute(statement, execution_options={"synchronize_session": False})
            await self._session.flush()
            self._session.expunge_all()
            deleted += len(batch)
        JobRepository(self._session).wake_dispatch()
        return deleted

    async def _batch(self, which: ColumnElement[bool]) -> list[Job]:
        query = select(Job).where(which).order_by(Job.id).limit(_BATCH).with_for_update()
        return list((await self._session.scalars(query, execution_options={"populate_existing": True})).all())
