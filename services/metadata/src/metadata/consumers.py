"""Event consumers; SUBSCRIPTIONS lists the events."""

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import JobCreated, JobDeleted, JobTranscribed, UserDeleted
from common.messaging import Subscriptions

from .repository import AnalysisDayRepository, EnrichmentRepository
from .service import EnrichmentService

log = structlog.get_logger(__name__)


async def on_job_created(event: JobCreated, session: AsyncSession, _resources: None) -> None:
    """Store the job, so that requests before its transcript fail with "not ready" instead of "not found"."""
    await EnrichmentRepository(session).put_awaited(event.job_id, event.owner_id)


async def on_job_transcribed(event: JobTranscribed, session: AsyncSession, _resources: None) -> None:
    """Store a pending enrichment."""
    if not await EnrichmentService(session).request(event):
        log.info("transcript not enriched, job deleted or later attempt known", attempt=event.attempt)


async def on_job_deleted(event: JobDeleted, session: AsyncSession, _resources: None) -> None:
    """Delete the metadata of the job; the cleanup service deletes its objects."""
    await EnrichmentService(session).forget(event.job_id, event.owner_id)


async def on_user_deleted(event: UserDeleted, session: AsyncSession, _resources: None) -> None:
    """Delete what is stored by user; the jobs of the user are deleted by their own events."""
    await AnalysisDayRepository(session).remove(event.user_id)


SUBSCRIPTIONS: Subscriptions[None] = {
    JobCreated: on_job_created,
    JobTranscribed: on_job_transcribed,
    JobDeleted: on_job_deleted,
    UserDeleted: on_user_deleted,
}
