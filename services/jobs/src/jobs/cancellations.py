"""Telling the workers to stop: best effort, and only once the decision is committed."""

import asyncio
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import CancelJob
from common.messaging import Broker

# A lost cancellation costs the rest of a chunk, whose result is then ignored; a flood of them must not cost memory.
_CAPACITY = 10_000


class Cancellations:
    """Jobs whose work in the workers' hands is no longer wanted."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: asyncio.Queue[CancelJob] = asyncio.Queue(_CAPACITY)

    def after_commit(self, session: AsyncSession, job_id: UUID, attempt: int) -> None:
        """Tell the workers when the session's transaction is committed; nobody is told when it is rolled back."""

        def enqueue(_session: object) -> None:
            if not self._waiting.full():
                self._waiting.put_nowait(CancelJob(job_id=job_id, attempt=attempt))

        event.listen(session.sync_session, "after_commit", enqueue, once=True)

    async def run(self, broker: Broker) -> None:
        """Broadcast for ever."""
        while True:
            await broker.broadcast(await self._waiting.get())
