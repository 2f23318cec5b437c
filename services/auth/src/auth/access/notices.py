"""Broadcasts of revoked access to the gateways."""

import asyncio
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import AccessRevoked, Notice
from common.messaging import Broker

_LIMIT = 1000


class Notices:
    """Broadcasts notices on the control exchange after the transaction of their change has committed.

    Best effort: gateways also read the list of revocations regularly.
    """

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Notice] = asyncio.Queue(_LIMIT)

    def sessions_ended(self, session: AsyncSession, *ids: UUID) -> None:
        """Broadcast that the tokens of these sessions or API keys are void."""
        if ids:
            self._after_commit(session, AccessRevoked(session_ids=list(ids)))

    def user_changed(self, session: AsyncSession, user_id: UUID, generation: int) -> None:
        """Broadcast that the user's tokens of earlier generations are void."""
        self._after_commit(session, AccessRevoked(user_id=user_id, generation=generation))

    async def run(self, broker: Broker) -> None:
        """Send waiting notices until cancelled."""
        while True:
            await broker.broadcast(await self._waiting.get())

    def _after_commit(self, session: AsyncSession, notice: Notice) -> None:
        event.listen(session.sync_session, "after_commit", lambda _: self._put(notice), once=True)

    def _put(self, notice: Notice) -> None:
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(notice)
