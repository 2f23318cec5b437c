"""Broadcast notices after the commit of the transaction that causes them."""

import asyncio

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import Notice

from .broker import Broker

# Notices are best effort: to limit memory, the oldest are dropped.
_CAPACITY = 10_000


class CommittedNotices:
    """A queue of notices to broadcast; a rollback discards its notices."""

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
