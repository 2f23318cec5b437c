"""A loop that takes rows of a table under a lease, one at a time, and sees each through."""

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

from .leases import Claim, LeaseRepository
from .settings import Settings

log = structlog.get_logger(__name__)

_LONGEST_DELAY = 60.0  # seconds
_LOOK_SECONDS = 5.0


class LeaseWorker(ABC):
    """The part that does not depend on what the work is."""

    repository: type[LeaseRepository[Any]]
    outcomes: Counter

    def __init__(
        self, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], store: ObjectStore, settings: Settings
    ) -> None:
        """Nothing connects yet."""
        self._engine = engine
        self._sessions = sessions
        self._store = store
        self._settings = settings
        self._lease = timedelta(seconds=settings.enrichment_lease_seconds)

    async def run(self) -> None:
        """Work for ever: woken by the database, polling as a fallback."""
        looked = -_LOOK_SECONDS
        async with Notifications(self._engine, self.repository.channel) as notifications:
            while True:
                try:
                    while await self.step():
                        pass
                    if monotonic() - looked >= _LOOK_SECONDS:
                        async with self._sessions.begin() as session:
                            await self.look_around(session)
                        looked = monotonic()
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("the database is away, waiting", error=str(error))
                await notifications.wait(self._settings.enrichment_poll_seconds)

    async def step(self) -> bool:
        """Take one piece of work and see it through; False when none is due."""
        async with self._sessions.begin() as session:
            claim = await self.repository(session).claim(self._lease)
        if claim is None:
            return False
        with context.bound(
            correlation_id=claim.correlation_id,
            traceparent=context.child_traceparent(claim.traceparent),
            job_id=claim.job_id,
        ):
            await self._see_through(claim)
        return True

    @abstractmethod
    async def work(self, claim: Claim) -> None:
        """Do it, and store the result or the reason why there will be none; what it raises is tried again."""

    @abstractmethod
    async def give_up(self, claim: Claim, error: Exception | None) -> None:
        """Store why there will be no result: the last try's error, or None if every try ended with the process."""

    @abstractmethod
    async def look_around(self, session: AsyncSession) -> None:
        """What is to be done now and then, when no work is due."""

    async def _see_through(self, claim: Claim) -> None:
        if claim.tries > self._settings.enrichment_tries:
            # Every try so far ended with the process: the next one must not have the chance.
            await self.give_up(claim, None)
            return
        try:
            async with self._held(claim):
                await self.work(claim)
        except asyncio.CancelledError:
            # Stopping is no failed try. Shielded, because the cancelled task still has this one thing to do.
            await asyncio.shield(self._hand_back(claim))
            raise
        except Exception as error:
            await self._try_later(claim, error)

    @asynccontextmanager
    async def _held(self, claim: Claim) -> AsyncIterator[None]:
        """Renew the lease while the block runs: work may take longer than a dead process should be waited for."""
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
                # Then another worker may take over: the claim is checked again before anything is kept.
                log.warning("the lease could not be renewed", error=str(error))

    async def _try_later(self, claim: Claim, error: Exception) -> None:
        if claim.tries >= self._settings.enrichment_tries:
            await self.give_up(claim, error)
            return
        delay = min(self._settings.enrichment_retry_seconds * 2.0 ** (claim.tries - 1), _LONGEST_DELAY)
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
        self.outcomes.labels("postponed").inc()
        log.warning("will be tried again", tries=claim.tries, seconds=round(delay, 1), error=str(error))
        async with self._sessions.begin() as session:
            await self.repository(session).postpone(claim, timedelta(seconds=delay), str(error)[:500])

    async def _hand_back(self, claim: Claim) -> None:
        async with self._sessions.begin() as session:
            await self.repository(session).give_back(claim)
