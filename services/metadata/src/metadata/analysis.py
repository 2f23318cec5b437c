"""The decisions about analysis: who may ask for one, of what, and what becomes of the answer."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.web.errors import QuotaExceeded
from common.web.identity import Identity

from . import prompts
from .errors import AnalysisNotConfigured, JobNotFound, TranscriptNotReady
from .extractor import Extracted
from .leases import Claim
from .repository import AnalysisDayRepository, AnalysisRepository, EnrichmentRepository
from .schemas import AnalysisState, Enriched
from .tables import State


class AnalysisService:
    """Analyses within the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in the given session; the caller commits."""
        self._enrichments = EnrichmentRepository(session)
        self._analyses = AnalysisRepository(session)
        self._days = AnalysisDayRepository(session)

    async def request(
        self, job_id: UUID, asker: Identity, *, configured: bool, again: bool, allowed: int = 0
    ) -> AnalysisState:
        """Ask for an analysis, or return the one there is or that is on its way.

        A failed one is asked for again; one that is done only if `again` says so. Every one that is made counts
        against the asker's `allowed` ones of the day (0 = any number). Raises JobNotFound also for a stranger's job,
        AnalysisNotConfigured, TranscriptNotReady, and QuotaExceeded.
        """
        # Locked, so that a later attempt's transcript cannot come in between.
        row = await self._enrichments.find(job_id, None if asker.is_admin else asker.user_id, locked=True)
        if row is None:
            raise JobNotFound(f"There is no job {job_id}.")
        if not configured:
            raise AnalysisNotConfigured("No language model is set up here; OPENAI_API_KEY would do that.")
        if row.state == State.FAILED:
            raise TranscriptNotReady(f"The transcript could not be read: {row.reason}")
        if row.state != State.DONE:
            raise TranscriptNotReady("The transcript is not ready yet; try again when the job is completed.")
        found = await self._analyses.find(job_id)
        if found is None or found.state == State.FAILED or (again and found.state == State.DONE):
            await self._count(asker, allowed)
            found = await self._analyses.put_pending(
                job_id=job_id,
                owner_id=row.owner_id,
                attempt=row.attempt,
                transcript_key=row.transcript_key,
                correlation_id=context.correlation_id(),
                traceparent=context.traceparent(),
            )
        return AnalysisState.model_validate(found, from_attributes=True)

    async def _count(self, asker: Identity, allowed: int) -> None:
        counted = await self._days.count(asker.user_id)
        if allowed and counted.analyses > allowed:
            raise QuotaExceeded(
                f"Your {allowed} analyses of today are used up; new ones begin at"
                f" {counted.resets_at:%Y-%m-%d %H:%M} UTC.",
                limit="analyses_per_day",
                used=allowed,
                allowed=allowed,
                resets_at=counted.resets_at,
                retry_after=counted.resets_in,
            )

    async def complete(self, claim: Claim, extracted: Extracted) -> dict[str, object] | None:
        """Store an analysis and return the whole content for metadata.json; None if the claim no longer holds."""
        # In this order, which is that of everybody who locks both.
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
        """Say of all that was asked for that nobody will do it: there is no language model any more."""
        await self._analyses.fail_pending("not_configured", "There is no language model set up here any more.")

    async def give_up(self, claim: Claim, reason_code: str, reason: str) -> bool:
        """Say why there will be no analysis; False if the work is another's by now."""
        if not await self._analyses.lock(claim):
            return False
        await self._analyses.finish(claim, State.FAILED, reason_code=reason_code, reason=reason)
        return True
