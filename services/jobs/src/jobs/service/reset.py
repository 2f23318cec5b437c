"""Deletion of many jobs at once: after a reset, and after the deletion of an account."""

import structlog
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import JobCancelled, JobDeleted, ResetRequested, UserDeleted
from common.messaging import outbox
from jobs import metrics
from jobs.repository import JobRepository, OwnerRepository
from jobs.states import State
from jobs.tables import Job

from .resources import Resources

log = structlog.get_logger(__name__)

_BATCH = 500


class Reset:
    """Deletes many jobs, and publishes an event for each."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        self._session = session
        self._resources = resources
        self._jobs = JobRepository(session)

    async def delete_all(self, event: ResetRequested) -> None:
        """Delete the jobs that were created before the request, with their logs and dead letters."""
        deleted = await self._delete(Job.created_at <= event.occurred_at)
        log.warning("all jobs deleted", jobs=deleted, requested_by=str(event.requested_by))

    async def delete_of_user(self, event: UserDeleted) -> None:
        """Delete the jobs of a deleted account, with their logs and dead letters, and its resumable uploads.

        The tombstone is written first: creations that found the account present are committed then, so their jobs are
        deleted too, and later creations are refused.
        """
        owners = OwnerRepository(self._session)
        await owners.mark_deleted(event.user_id)
        for job_id in await owners.delete_belongings(event.user_id):
            # Other services treat the upload like a job of the same id.
            outbox.add(self._session, JobDeleted(job_id=job_id, owner_id=event.user_id))
        deleted = await self._delete(Job.owner_id == event.user_id)
        log.warning("jobs of deleted account deleted", jobs=deleted, requested_by=str(event.deleted_by))

    async def _delete(self, which: ColumnElement[bool]) -> int:
        deleted = 0
        while batch := await self._jobs.lock_batch(which, _BATCH):
            for job in batch:
                if not State(job.state).final:
                    outbox.add(self._session, JobCancelled(job_id=job.id, owner_id=job.owner_id, attempt=job.attempt))
                    self._resources.cancellations.after_commit(self._session, job.id, job.attempt)
                    metrics.JOBS_FINISHED.labels(State.CANCELLED, "").inc()
                outbox.add(self._session, JobDeleted(job_id=job.id, owner_id=job.owner_id))
            await self._jobs.delete_batch(batch)
            deleted += len(batch)
        self._jobs.wake_dispatch()
        return deleted
