"""The loop that analyses transcripts with a language model, one at a time."""

import json
import time

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.events import keys
from common.storage import ObjectMissing, ObjectStore
from metadata.analysis.extractor import Extracted, Extractor, ModelUnavailable
from metadata.errors import AnalysisFailed, TranscriptUnreadable
from metadata.metrics import ANALYSES, ANALYSIS_SECONDS, OLDEST_PENDING_ANALYSIS
from metadata.repository import AnalysisRepository, Claim
from metadata.service import AnalysisService
from metadata.settings import Settings
from metadata.text import transcripts

from .leases import LeaseWorker

log = structlog.get_logger(__name__)


class AnalysisWorker(LeaseWorker):
    """Processes pending analyses."""

    repository = AnalysisRepository
    outcomes = ANALYSES

    def __init__(
        self,
        engine: AsyncEngine,
        sessions: async_sessionmaker[AsyncSession],
        store: ObjectStore,
        settings: Settings,
        extractor: Extractor,
    ) -> None:
        """The caller closes the extractor."""
        super().__init__(engine, sessions, store, settings)
        self._extractor = extractor

    async def work(self, claim: Claim) -> None:
        """Analyse one transcript."""
        started = time.monotonic()
        try:
            transcript = transcripts.parse(await self._store.get(claim.transcript_key))
            extracted = await self._extractor.extract(transcript)
        except AnalysisFailed as error:
            await self._abandon(claim, error.reason_code, error.reason)
            return
        except TranscriptUnreadable as error:
            await self._abandon(claim, "transcript_unreadable", str(error))
            return
        except ObjectMissing:
            await self._abandon(claim, "transcript_unreadable", "The transcript is not in the object store any more.")
            return
        if not await self._complete(claim, extracted):
            ANALYSES.labels("overtaken").inc()
            log.info("analysis discarded, claim no longer valid")
            return
        ANALYSES.labels("done").inc()
        ANALYSIS_SECONDS.observe(time.monotonic() - started)
        log.info("analysis written", model=extracted.model, parts=extracted.parts)

    async def give_up(self, claim: Claim, error: Exception | None) -> None:
        """Store that the analysis failed."""
        if isinstance(error, ModelUnavailable):
            await self._abandon(
                claim,
                "model_unavailable",
                f"The language model does not respond ({error}). Request the analysis again later.",
            )
            return
        log.error("analysis raised an exception", exc_info=error)
        cause = "the service stopped each time" if error is None else type(error).__name__
        await self._abandon(claim, "internal_error", f"The analysis could not be made ({cause}).")

    async def maintain(self, session: AsyncSession) -> None:
        """Measure the queue."""
        OLDEST_PENDING_ANALYSIS.set(await AnalysisRepository(session).oldest_pending_seconds())

    async def _complete(self, claim: Claim, extracted: Extracted) -> bool:
        async with self._sessions.begin() as session:
            # The rows stay locked while the object is written, as in the enrichment.
            content = await AnalysisService(session).complete(claim, extracted)
            if content is None:
                return False
            document = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
            await self._store.put(keys.metadata(claim.job_id), document, "application/json")
        return True

    async def _abandon(self, claim: Claim, reason_code: str, reason: str) -> None:
        async with self._sessions.begin() as session:
            given_up = await AnalysisService(session).give_up(claim, reason_code, reason)
        if given_up:
            ANALYSES.labels("failed").inc()
            log.warning("analysis failed", reason_code=reason_code, reason=reason)
