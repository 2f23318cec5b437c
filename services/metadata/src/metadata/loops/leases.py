"""The loop that leases the due rows of a table, one at a time, and processes each."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common import context
from common.database import Notifications, is_outage
from common.storage import ObjectStore
from metadata.repository import Claim, LeaseRepository
from metadata.settings import Settings

log = structlog.get_logger(__name__)

_LONGEST_DELAY = 60.0  # seconds
_MAINTENANCE_SECONDS = 5.0


class LeaseWorker(ABC):
    """The part that does not depend on the kind of work."""

    repository: type[LeaseRepository[Any]]
    outcomes: Counter

    def __init__(
        self, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], store: ObjectStore, settings: Settings
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._store = store
        self._settings = settings
        self._lease = timedelta(seconds=settings.enrichment_lease_seconds)

    async def run(self) -> None:
        """Process due rows until cancelled: on notifications, with polling as a fallback."""
        maintained = -_MAINTENANCE_SECONDS
        async with Notifications(self._engine, self.repository.channel) as notifications:
            while True:
                try:
                    while await self.step():
                        pass
                    if monotonic() - maintained >= _MAINTENANCE_SECONDS:
                        async with self._sessions.begin() as session:
                            await self.maintain(session)
                        maintained = monotonic()
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("database unavailable, waiting", error=str(error))
                await notifications.wait(self._settings.enrichment_poll_seconds)

    async def step(self) -> bool:
        """Process one due row; False if none is due."""
        async with self._sessions.begin() as session:
            claim = await self.repository(session).claim(self._lease)
        if claim is None:
            return False
        with context.bound(
            correlation_id=claim.correlation_id,
            traceparent=context.child_traceparent(claim.traceparent),
            job_id=claim.job_id,
        ):
            await self._process(claim)
        return True

    @abstractmethod
    async def work(self, claim: Claim) -> None:
        """Process the row and store the result or a permanent failure; an exception is retried."""

    @abstractmethod
    async def give_up(self, claim: Claim, error: Exception | None) -> None:
        """Store the failure after the last try; `error` is None if the process died in every try."""

    @abstractmethod
    async def maintain(self, session: AsyncSession) -> None:
        """Regular maintenance when no row is due."""

    async def _process(self, claim: Claim) -> None:
        if claim.tries > self._settings.enrichment_tries:
            # The process died in every try: do not try again.
            await self.give_up(claim, None)
            return
        try:
            async with self._held(claim):
                await self.work(claim)
        except asyncio.CancelledError:
            # A shutdown is no failed try. Shielded, because the cancelled task must still release its claim.
            await asyncio.shield(self._release(claim))
            raise
        except Exception as error:
            await self._retry(claim, error)

    @asynccontextmanager
    async def _held(self, claim: Claim) -> AsyncIterator[None]:
        """Renew the lease while the block runs: work may take longer than one lease."""
        renewing = asyncio.create_task(self._renew(claim))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(self._settings.enrichment_lease_seconds / 3)
            try:
                async with self._sessions.begin() as session:
                    await self.repository(session).renew(claim, self._lease)
            except Exception as error:
                # Another worker may take over: the claim is checked again before a result is stored.
                log.warning("lease not renewed", error=str(error))

    async def _retry(self, claim: Claim, error: Exception) -> None:
        if claim.tries >= self._settings.enrichment_tries:
            await self.give_up(claim, error)
            return
        delay = min(self._settings.enrichment_retry_seconds * 2.0 ** (claim.tries - 1), _LONGEST_DELAY)
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
        self.outcomes.labels("postponed").inc()
        log.warning("try failed, retrying", tries=claim.tries, seconds=round(delay, 1), error=str(error))
        async with self._sessions.begin() as session:
            await self.repository(session).postpone(claim, timedelta(seconds=delay), str(error)[:500])

    async def _release(self, claim: Claim) -> None:
        async with self._sessions.begin() as session:
            await self.repository(session).give_back(claim)
