"""The loop that enriches waiting transcripts, one at a time."""

import asyncio
import random
import time
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common import context
from common.database import Notifications, is_outage
from common.storage import ObjectMissing, ObjectStore, keys

from .enrichment import enrich
from .errors import TranscriptUnreadable
from .metrics import ENRICHMENT_SECONDS, ENRICHMENTS, OLDEST_PENDING
from .repository import CHANNEL, Claim, EnrichmentRepository
from .schemas import Enriched
from .service import EnrichmentService
from .settings import Settings

log = structlog.get_logger(__name__)

_LONGEST_DELAY = 60.0  # seconds
_DELETED_KEPT = timedelta(days=30)  # far longer than any message stays in the broker


class EnrichmentWorker:
    """Takes waiting enrichments from the table, under a lease, and finishes or postpones each."""

    def __init__(
        self, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], store: ObjectStore, settings: Settings
    ) -> None:
        """Nothing connects yet."""
        self._engine = engine
        self._sessions = sessions
        self._store = store
        self._settings = settings

    async def run(self) -> None:
        """Work for ever: woken by the database, polling as a fallback."""
        async with Notifications(self._engine, CHANNEL) as notifications:
            while True:
                try:
                    while await self.step():
                        pass
                    await self._look_around()
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("the database is away, waiting", error=str(error))
                await notifications.wait(self._settings.enrichment_poll_seconds)

    async def step(self) -> bool:
        """Take one enrichment and see it through; False when none is due."""
        lease = timedelta(seconds=self._settings.enrichment_lease_seconds)
        async with self._sessions.begin() as session:
            claim = await EnrichmentRepository(session).claim(lease)
        if claim is None:
            return False
        with context.bound(
            correlation_id=claim.correlation_id,
            traceparent=context.child_traceparent(claim.traceparent),
            job_id=claim.job_id,
        ):
            await self._see_through(claim)
        return True

    async def _see_through(self, claim: Claim) -> None:
        if claim.tries > self._settings.enrichment_tries:
            # Every try so far ended with the process: the next one must not have the chance.
            await self._give_up(claim, "The metadata service stopped each time it read this transcript.")
            return
        started = time.monotonic()
        try:
            enriched = await self._enrich(claim)
            if not await self._complete(claim, enriched):
                ENRICHMENTS.labels("overtaken").inc()
                log.info("transcript was enriched by another worker, or is gone")
                return
        except asyncio.CancelledError:
            # Stopping is no failed try. Shielded, because the cancelled task still has this one thing to do.
            await asyncio.shield(self._hand_back(claim))
            raise
        except TranscriptUnreadable as error:
            await self._give_up(claim, str(error))
        except ObjectMissing:
            await self._give_up(claim, "The transcript is no longer in the object store.")
        except Exception as error:
            await self._try_later(claim, error)
        else:
            ENRICHMENTS.labels("done").inc()
            ENRICHMENT_SECONDS.observe(time.monotonic() - started)
            log.info("metadata written", words=enriched.words, keywords=len(enriched.keywords))

    async def _enrich(self, claim: Claim) -> Enriched:
        data = await self._store.get(claim.transcript_key)
        return await asyncio.to_thread(enrich, data, self._settings.keyword_limit)

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

    async def _try_later(self, claim: Claim, error: Exception) -> None:
        if claim.tries >= self._settings.enrichment_tries:
            log.error("enrichment failed", exc_info=error)
            await self._give_up(claim, f"The metadata could not be written ({type(error).__name__}).")
            return
        delay = min(self._settings.enrichment_retry_seconds * 2.0 ** (claim.tries - 1), _LONGEST_DELAY)
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
        ENRICHMENTS.labels("postponed").inc()
        log.warning("enrichment will be tried again", tries=claim.tries, seconds=round(delay, 1), error=str(error))
        async with self._sessions.begin() as session:
            await EnrichmentRepository(session).postpone(claim, timedelta(seconds=delay), str(error)[:500])

    async def _give_up(self, claim: Claim, reason: str) -> None:
        async with self._sessions.begin() as session:
            given_up = await EnrichmentService(session).give_up(claim, reason)
        if given_up:
            ENRICHMENTS.labels("failed").inc()
            log.warning("the transcript goes on without metadata", reason=reason)

    async def _hand_back(self, claim: Claim) -> None:
        async with self._sessions.begin() as session:
            await EnrichmentRepository(session).give_back(claim)

    async def _look_around(self) -> None:
        async with self._sessions.begin() as session:
            enrichments = EnrichmentRepository(session)
            OLDEST_PENDING.set(await enrichments.oldest_pending_seconds())
            await enrichments.prune_deleted(_DELETED_KEPT)
