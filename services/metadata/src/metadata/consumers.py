"""Events in: what this service reacts to."""

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import JobCreated, JobDeleted, JobTranscribed
from common.messaging import Subscriptions

from .repository import EnrichmentRepository
from .service import EnrichmentService

log = structlog.get_logger(__name__)


async def on_job_created(event: JobCreated, session: AsyncSession, _resources: None) -> None:
    """Know the job, so that its owner hears "not yet" instead of "no such job"."""
    await EnrichmentRepository(session).put_awaited(event.job_id, event.owner_id)


async def on_job_transcribed(event: JobTranscribed, session: AsyncSession, _resources: None) -> None:
    """Queue the transcript for enrichment."""
    if not await EnrichmentService(session).request(event):
        log.info("transcript is not enriched: the job is gone or a later attempt is known", attempt=event.attempt)


async def on_job_deleted(event: JobDeleted, session: AsyncSession, _resources: None) -> None:
    """Forget the job's metadata; its objects are cleanup's to delete."""
    await EnrichmentService(session).forget(event.job_id, event.owner_id)


SUBSCRIPTIONS: Subscriptions[None] = {
    JobCreated: on_job_created,
    JobTranscribed: on_job_transcribed,
    JobDeleted: on_job_deleted,
}
