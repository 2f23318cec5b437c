"""The loop that enriches waiting transcripts, one at a time."""

import asyncio
import time
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage import ObjectMissing, keys

from .enrichment import enrich
from .errors import TranscriptUnreadable
from .lease_worker import LeaseWorker
from .leases import Claim
from .metrics import ENRICHMENT_SECONDS, ENRICHMENTS, OLDEST_PENDING
from .repository import AnalysisDayRepository, EnrichmentRepository
from .schemas import Enriched
from .service import EnrichmentService

log = structlog.get_logger(__name__)

_DELETED_KEPT = timedelta(days=30)  # far longer than any message stays in the broker
_DAYS_KEPT = timedelta(days=35)


class EnrichmentWorker(LeaseWorker):
    """Takes waiting enrichments from the table, under a lease, and finishes or postpones each."""

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
            await self._abandon(claim, "The transcript is no longer in the object store.")
            return
        if not await self._complete(claim, enriched):
            ENRICHMENTS.labels("overtaken").inc()
            log.info("transcript was enriched by another worker, or is gone")
            return
        ENRICHMENTS.labels("done").inc()
        ENRICHMENT_SECONDS.observe(time.monotonic() - started)
        log.info("metadata written", words=enriched.words, keywords=len(enriched.keywords))

    async def give_up(self, claim: Claim, error: Exception | None) -> None:
        """Let the transcript go on without metadata."""
        if error is None:
            await self._abandon(claim, "The metadata service stopped each time it read this transcript.")
            return
        log.error("enrichment failed", exc_info=error)
        await self._abandon(claim, f"The metadata could not be written ({type(error).__name__}).")

    async def look_around(self, session: AsyncSession) -> None:
        """Measure the queue, and remove what is left of jobs and days long ago."""
        enrichments = EnrichmentRepository(session)
        OLDEST_PENDING.set(await enrichments.oldest_pending_seconds())
        await enrichments.prune_deleted(_DELETED_KEPT)
        await AnalysisDayRepository(session).prune(_DAYS_KEPT)

    async def _complete(self, claim: Claim, enriched: Enriched) -> bool:
        key = keys.metadata(claim.job_id)
        async with self._sessions.begin() as session:
            # The row stays locked while the object is written: a later attempt's metadata is never overwritten by an
            # earlier one's, and nothing is written for a job whose deletion this service has seen.
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
            log.warning("the transcript goes on without metadata", reason=reason)
