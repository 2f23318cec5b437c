"""The loop that enriches transcripts, one at a time."""

import asyncio
import time
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import keys
from common.storage import ObjectMissing
from metadata.errors import TranscriptUnreadable
from metadata.metrics import ENRICHMENT_SECONDS, ENRICHMENTS, OLDEST_PENDING
from metadata.repository import AnalysisDayRepository, Claim, EnrichmentRepository
from metadata.schemas import Enriched
from metadata.service import EnrichmentService
from metadata.text.enrichment import enrich

from .leases import LeaseWorker

log = structlog.get_logger(__name__)

_DELETED_KEPT = timedelta(days=30)  # longer than any message stays in the broker
_DAYS_KEPT = timedelta(days=35)


class EnrichmentWorker(LeaseWorker):
    """Processes pending enrichments."""

    repository = EnrichmentRepository
    outcomes = ENRICHMENTS

    async def work(self, claim: Claim) -> None:
        """Enrich one transcript."""
        started = time.monotonic()
        try:
            data = await self._store.get(claim.transcript_key)
            enriched = await asyncio.to_thread(
                enrich, data, self._settings.keyword_limit, self._settings.summary_sentences
            )
        except TranscriptUnreadable as error:
            await self._abandon(claim, str(error))
            return
        except ObjectMissing:
            await self._abandon(claim, "The transcript is not in the object store any more.")
            return
        if not await self._complete(claim, enriched):
            ENRICHMENTS.labels("overtaken").inc()
            log.info("enrichment discarded, claim no longer valid")
            return
        ENRICHMENTS.labels("done").inc()
        ENRICHMENT_SECONDS.observe(time.monotonic() - started)
        log.info("metadata written", words=enriched.words, keywords=len(enriched.keywords))

    async def give_up(self, claim: Claim, error: Exception | None) -> None:
        """Publish that the transcript gets no metadata."""
        if error is None:
            await self._abandon(claim, "The metadata service stopped each time it processed this transcript.")
            return
        log.error("enrichment failed", exc_info=error)
        await self._abandon(claim, f"The metadata could not be created ({type(error).__name__}).")

    async def maintain(self, session: AsyncSession) -> None:
        """Measure the queue; delete old tombstones and days."""
        enrichments = EnrichmentRepository(session)
        OLDEST_PENDING.set(await enrichments.oldest_pending_seconds())
        await enrichments.prune_deleted(_DELETED_KEPT)
        await AnalysisDayRepository(session).prune(_DAYS_KEPT)

    async def _complete(self, claim: Claim, enriched: Enriched) -> bool:
        key = keys.metadata(claim.job_id)
        async with self._sessions.begin() as session:
            # The row stays locked while the object is written: the metadata of a later attempt is never overwritten by
            # an earlier one, and nothing is written for a deleted job.
            if not await EnrichmentRepository(session).lock(claim):
                return False
            await self._store.put(key, enriched.model_dump_json().encode(), "application/json")
            await EnrichmentService(session).complete(claim, enriched, key)
        return True

    async def _abandon(self, claim: Claim, reason: str) -> None:
        async with self._sessions.begin() as session:
            given_up = await EnrichmentService(session).give_up(claim, reason)
        if given_up:
            ENRICHMENTS.labels("failed").inc()
            log.warning("metadata failed", reason=reason)
