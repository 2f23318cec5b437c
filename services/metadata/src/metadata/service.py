"""Decisions about enrichments and analyses: who may request and read them, and how they end."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import JobTranscribed, MetadataEnriched, MetadataFailed
from common.messaging import outbox
from common.web.errors import QuotaExceeded
from common.web.identity import Identity

from .analysis import prompts
from .analysis.extractor import Extracted
from .errors import AnalysisNotConfigured, JobNotFound, MetadataNotFound, TranscriptNotReady
from .repository import AnalysisDayRepository, AnalysisRepository, Claim, EnrichmentRepository
from .schemas import AnalysisState, Enriched, Metadata
from .tables import State


class EnrichmentService:
    """Enrichments, in the transaction of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._enrichments = EnrichmentRepository(session)
        self._analyses = AnalysisRepository(session)

    async def get(self, job_id: UUID, reader: Identity) -> Metadata:
        """Return the metadata of a job; raises MetadataNotFound, also for a job of another owner."""
        row = await self._enrichments.find(job_id, None if reader.is_admin else reader.user_id)
        if row is None or row.state != State.DONE:
            raise MetadataNotFound(f"There is no metadata of a job {job_id}, or it is not ready yet.")
        analysis = await self._analyses.find(job_id)
        found = Metadata.model_validate(row, from_attributes=True)
        shown = None if analysis is None else AnalysisState.model_validate(analysis, from_attributes=True)
        return found.model_copy(update={"analysis": shown})

    async def request(self, event: JobTranscribed) -> bool:
        """Store a pending enrichment; False if the job is deleted or a later attempt is known."""
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
        """Delete everything about a deleted job; the cleanup service deletes its objects."""
        await self._enrichments.put_deleted(job_id, owner_id)
        await self._analyses.remove(job_id)

    async def complete(self, claim: Claim, enriched: Enriched, metadata_key: str) -> None:
        """Store and publish the metadata, under a claim that lock() confirmed."""
        await self._enrichments.finish(claim, State.DONE, reason=None, **enriched.model_dump())
        found = MetadataEnriched(
            job_id=claim.job_id,
            attempt=claim.attempt,
            metadata_key=metadata_key,
            keywords=[keyword.keyword for keyword in enriched.keywords],
        )
        outbox.add(self._session, found)

    async def give_up(self, claim: Claim, reason: str) -> bool:
        """Store and publish the failure; False if the claim is no longer valid."""
        if not await self._enrichments.lock(claim):
            return False
        await self._enrichments.finish(claim, State.FAILED, reason=reason)
        outbox.add(self._session, MetadataFailed(job_id=claim.job_id, attempt=claim.attempt, reason=reason))
        return True


class AnalysisService:
    """Analyses, in the transaction of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._enrichments = EnrichmentRepository(session)
        self._analyses = AnalysisRepository(session)
        self._days = AnalysisDayRepository(session)

    async def request(
        self, job_id: UUID, user: Identity, *, configured: bool, again: bool, allowed: int = 0
    ) -> AnalysisState:
        """Request an analysis, or return the existing or pending one.

        A failed analysis is requested again, a finished one only with `again`. Every request of a new analysis counts
        towards the `allowed` ones of the user and day (0: any number). Raises JobNotFound, also for a job of another
        owner, AnalysisNotConfigured, TranscriptNotReady and QuotaExceeded.
        """
        # Lock the row, so that no later attempt replaces the transcript meanwhile.
        row = await self._enrichments.find(job_id, None if user.is_admin else user.user_id, locked=True)
        if row is None:
            raise JobNotFound(f"There is no job {job_id}.")
        if not configured:
            raise AnalysisNotConfigured("No language model is configured. Set OPENAI_API_KEY of the metadata service.")
        if row.state == State.FAILED:
            raise TranscriptNotReady(f"The transcript could not be read: {row.reason}")
        if row.state != State.DONE:
            raise TranscriptNotReady("The transcript is not ready yet. Try again when the job is completed.")
        found = await self._analyses.find(job_id)
        if found is None or found.state == State.FAILED or (again and found.state == State.DONE):
            await self._count(user, allowed)
            found = await self._analyses.put_pending(
                job_id=job_id,
                owner_id=row.owner_id,
                attempt=row.attempt,
                transcript_key=row.transcript_key,
                correlation_id=context.correlation_id(),
                traceparent=context.traceparent(),
            )
        return AnalysisState.model_validate(found, from_attributes=True)

    async def _count(self, user: Identity, allowed: int) -> None:
        counted = await self._days.count(user.user_id)
        if allowed and counted.analyses > allowed:
            raise QuotaExceeded(
                f"You have used your {allowed} analyses of today. Try again after"
                f" {counted.resets_at:%Y-%m-%d %H:%M} UTC.",
                limit="analyses_per_day",
                used=allowed,
                allowed=allowed,
                resets_at=counted.resets_at,
                retry_after=counted.resets_in,
            )

    async def complete(self, claim: Claim, extracted: Extracted) -> dict[str, object] | None:
        """Store an analysis and return the content of metadata.json; None if the claim is no longer valid."""
        # Every transaction locks the two rows in this order.
        row = await self._enrichments.find(claim.job_id, None, locked=True)
        if row is None or not await self._analyses.lock(claim):
            return None
        await self._analyses.finish(
            claim,
            State.DONE,
            reason=None,
            model=extracted.model,
            prompt_version=prompts.VERSION,
            parts=extracted.parts,
            insight=extracted.insight.model_dump(mode="json"),
        )
        analysis = AnalysisState.model_validate(await self._analyses.find(claim.job_id), from_attributes=True)
        enriched = Enriched.model_validate(row, from_attributes=True)
        return enriched.model_dump(mode="json") | {"analysis": analysis.model_dump(mode="json")}

    async def end_unconfigured(self) -> None:
        """Mark pending analyses as failed because no language model is configured."""
        await self._analyses.fail_pending("not_configured", "No language model is configured any more.")

    async def give_up(self, claim: Claim, reason_code: str, reason: str) -> bool:
        """Store why the analysis failed; False if the claim is no longer valid."""
        if not await self._analyses.lock(claim):
            return False
        await self._analyses.finish(claim, State.FAILED, reason_code=reason_code, reason=reason)
        return True
