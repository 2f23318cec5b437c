"""Event consumers; SUBSCRIPTIONS lists the events."""

from sqlalchemy.ext.asyncio import AsyncSession

from common.events import JobCancelled, JobCompleted, JobCreated, JobDeleted, JobFailed, JobStarted
from common.messaging import Subscriptions

from .repository.jobs import JobRepository
from .tables import State


async def on_job_created(event: JobCreated, session: AsyncSession, _resources: None) -> None:
    """Store the job: its objects are protected from now on."""
    await JobRepository(session).put_created(event.job_id, event.owner_id, event.occurred_at, event.file_name)


async def on_job_started(event: JobStarted, session: AsyncSession, _resources: None) -> None:
    """Mark the job as live again."""
    await JobRepository(session).put_live(event.job_id, event.owner_id, event.attempt, event.occurred_at)


async def on_job_completed(event: JobCompleted, session: AsyncSession, _resources: None) -> None:
    """Start the retention of a completed job."""
    await _ended(event, State.COMPLETED, session)


async def on_job_failed(event: JobFailed, session: AsyncSession, _resources: None) -> None:
    """Start the retention of a failed job."""
    await _ended(event, State.FAILED, session)


async def on_job_cancelled(event: JobCancelled, session: AsyncSession, _resources: None) -> None:
    """Start the retention of a cancelled job."""
    await _ended(event, State.CANCELLED, session)


async def on_job_deleted(event: JobDeleted, session: AsyncSession, _resources: None) -> None:
    """Store a tombstone; the sweeper deletes the job's objects."""
    await JobRepository(session).put_deleted(event.job_id, event.owner_id, event.occurred_at)


async def _ended(event: JobCompleted | JobFailed | JobCancelled, state: State, session: AsyncSession) -> None:
    await JobRepository(session).put_ended(event.job_id, event.owner_id, event.attempt, state, event.occurred_at)


SUBSCRIPTIONS: Subscriptions[None] = {
    JobCreated: on_job_created,
    JobStarted: on_job_started,
    JobCompleted: on_job_completed,
    JobFailed: on_job_failed,
    JobCancelled: on_job_cancelled,
    JobDeleted: on_job_deleted,
}
