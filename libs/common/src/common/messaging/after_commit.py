"""Notices that are broadcast once the transaction that causes them is committed."""

import asyncio

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import Notice

from .broker import Broker

# A notice is best effort, so that a bound on memory may drop the oldest.
_CAPACITY = 10_000


class CommittedNotices:
    """Notices that wait for their broadcast; a rollback discards them."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Notice] = asyncio.Queue(_CAPACITY)

    def broadcast_after_commit(self, session: AsyncSession, notice: Notice) -> None:
        """Broadcast the notice when the session's transaction is committed."""
        event.listen(session.sync_session, "after_commit", lambda _: self._put(notice), once=True)

    async def run(self, broker: Broker) -> None:
        """Broadcast until cancelled."""
        while True:
            await broker.broadcast(await self._waiting.get())

    def _put(self, notice: Notice) -> None:
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(notice)
