"""Events in: what this service learns of jobs."""

from sqlalchemy.ext.asyncio import AsyncSession

from common.events import JobCancelled, JobCompleted, JobCreated, JobDeleted, JobFailed, JobStarted
from common.messaging import Subscriptions

from .repository import JobRepository
from .tables import State


async def on_job_created(event: JobCreated, session: AsyncSession, _resources: None) -> None:
    """Know the job: what belongs to it is not touched from now on."""
    await JobRepository(session).put_created(event.job_id, event.owner_id, event.occurred_at, event.file_name)


async def on_job_started(event: JobStarted, session: AsyncSession, _resources: None) -> None:
    """Stop the clock of a job that is taken up again."""
    await JobRepository(session).put_live(event.job_id, event.owner_id, event.attempt, event.occurred_at)


async def on_job_completed(event: JobCompleted, session: AsyncSession, _resources: None) -> None:
    """Start the clock of a completed job."""
    await _ended(event, State.COMPLETED, session)


async def on_job_failed(event: JobFailed, session: AsyncSession, _resources: None) -> None:
    """Start the clock of a failed job."""
    await _ended(event, State.FAILED, session)


async def on_job_cancelled(event: JobCancelled, session: AsyncSession, _resources: None) -> None:
    """Start the clock of a cancelled job."""
    await _ended(event, State.CANCELLED, session)


async def on_job_deleted(event: JobDeleted, session: AsyncSession, _resources: None) -> None:
    """Leave a tombstone for the sweeper, which deletes the job's objects."""
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
