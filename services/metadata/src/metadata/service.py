"""The decisions about enrichment: what to enrich, who may read it, and what to tell when it is done or given up."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import JobTranscribed, MetadataEnriched, MetadataFailed
from common.messaging import outbox
from common.web.identity import Identity

from .errors import MetadataNotFound
from .leases import Claim
from .repository import AnalysisRepository, EnrichmentRepository
from .schemas import AnalysisState, Enriched, Metadata
from .tables import State


class EnrichmentService:
    """Enrichments within the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in the given session; the caller commits."""
        self._session = session
        self._enrichments = EnrichmentRepository(session)
        self._analyses = AnalysisRepository(session)

    async def get(self, job_id: UUID, reader: Identity) -> Metadata:
        """Return a job's metadata; raises MetadataNotFound also for a stranger's job, and while it is not ready."""
        row = await self._enrichments.find(job_id, None if reader.is_admin else reader.user_id)
        if row is None or row.state != State.DONE:
            raise MetadataNotFound(f"There is no metadata for a job {job_id}, or not yet.")
        analysis = await self._analyses.find(job_id)
        found = Metadata.model_validate(row, from_attributes=True)
        shown = None if analysis is None else AnalysisState.model_validate(analysis, from_attributes=True)
        return found.model_copy(update={"analysis": shown})

    async def request(self, event: JobTranscribed) -> bool:
        """Note that a transcript waits for enrichment; False if the job is gone or a later attempt is known."""
        stored = await self._enrichments.put_pending(
            job_id=event.job_id,
            owner_id=event.owner_id,
            attempt=event.attempt,
            transcript_key=event.transcript_key,
            correlation_id=context.correlation_id(),
            traceparent=context.traceparent(),
        )
        if stored:
            await self._analyses.remove(event.job_id)
        return stored

    async def forget(self, job_id: UUID, owner_id: UUID) -> None:
        """Forget a deleted job, for good; its objects are cleanup's to delete."""
        await self._enrichments.put_deleted(job_id, owner_id)
        await self._analyses.remove(job_id)

    async def complete(self, claim: Claim, enriched: Enriched, metadata_key: str) -> None:
        """Store the metadata and tell the platform, under a claim that lock() confirmed."""
        await self._enrichments.finish(claim, State.DONE, reason=None, **enriched.model_dump())
        found = MetadataEnriched(
            job_id=claim.job_id,
            attempt=claim.attempt,
            metadata_key=metadata_key,
            keywords=[keyword.keyword for keyword in enriched.keywords],
        )
        outbox.add(self._session, found)

    async def give_up(self, claim: Claim, reason: str) -> bool:
        """Tell the platform not to wait for this metadata; False if the work is another's by now."""
        if not await self._enrichments.lock(claim):
            return False
        await self._enrichments.finish(claim, State.FAILED, reason=reason)
        outbox.add(self._session, MetadataFailed(job_id=claim.job_id, attempt=claim.attempt, reason=reason))
        return True
