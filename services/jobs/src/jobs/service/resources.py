"""Objects that exist once per process, for routes, consumers and loops alike."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import CancelJob
from common.messaging import Broker
from jobs.settings import Settings

# A lost cancellation costs the rest of a chunk, whose result is then ignored; the bound protects the memory.
_CAPACITY = 10_000


class Cancellations:
    """Broadcasts cancelled attempts to the workers: best effort, and only after the commit."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[CancelJob] = asyncio.Queue(_CAPACITY)

    def after_commit(self, session: AsyncSession, job_id: UUID, attempt: int) -> None:
        """Broadcast the cancellation when the session's transaction is committed; a rollback discards it."""

        def enqueue(_session: object) -> None:
            if not self._waiting.full():
                self._waiting.put_nowait(CancelJob(job_id=job_id, attempt=attempt))

        event.listen(session.sync_session, "after_commit", enqueue, once=True)

    async def run(self, broker: Broker) -> None:
        """Broadcast for ever."""
        while True:
            await broker.broadcast(await self._waiting.get())


@dataclass(frozen=True, slots=True)
class Resources:
    """The settings and the cancellations of the process; created in app.py."""

    settings: Settings
    cancellations: Cancellations
