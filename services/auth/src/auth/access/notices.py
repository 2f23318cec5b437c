"""Broadcasts of revoked access to the gateways."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.events import AccessRevoked
from common.messaging import CommittedNotices


class Notices(CommittedNotices):
    """Best effort: a gateway that misses a notice reads the list of revocations, which it does regularly."""

    def sessions_ended(self, session: AsyncSession, *ids: UUID) -> None:
        """Broadcast that the tokens of these sessions or API keys are void."""
        if ids:
            self.broadcast_after_commit(session, AccessRevoked(session_ids=list(ids)))

    def user_changed(self, session: AsyncSession, user_id: UUID, generation: int) -> None:
        """Broadcast that the user's tokens of earlier generations are void."""
        self.broadcast_after_commit(session, AccessRevoked(user_id=user_id, generation=generation))
