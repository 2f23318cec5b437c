"""Deletion of accounts.

Names, sessions and API keys are deleted at once; other services delete what the account owns when they consume
`user.deleted.v1`. An anonymous row stays until the last access token has expired, so that the token is refused.
"""

from collections.abc import Collection
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from auth.access.notices import Notices
from auth.errors import OwnAccount
from auth.repository import accounts, audit
from auth.repository.audit import Caller
from auth.tables import User
from common.events import ResetRequested, UserDeleted
from common.messaging import outbox
from common.web import Identity

from . import management

log = structlog.get_logger(__name__)


class Removal:
    """Deletes accounts in the transaction of the caller."""

    def __init__(self, session: AsyncSession, notices: Notices) -> None:
        self._session = session
        self._notices = notices

    async def delete(self, actor: Identity, user_id: UUID, caller: Caller) -> None:
        """Delete another user's account; raises OwnAccount, LastAdmin or UserNotFound."""
        if user_id == actor.user_id:
            raise OwnAccount("You cannot delete your own account. Ask another administrator to delete it.")
        await management.refuse_last_admin(self._session, user_id)
        user = await management.existing(self._session, user_id, lock=True)
        audit.record(self._session, "user_deleted", user=user, caller=caller, actor=actor)
        await self._delete([user], actor.user_id)

    async def delete_others(self, event: ResetRequested) -> None:
        """Delete every account except that of the administrator who requested the reset."""
        if event.requested_by not in await accounts.lock_active_admins(self._session):
            log.error("reset refused, requester is not an administrator", requested_by=str(event.requested_by))
            return
        users = await accounts.all_users(self._session)
        actor = next(user for user in users if user.id == event.requested_by)
        others = [user for user in users if user is not actor]
        by = Identity(actor.id, actor.username, "admin", token="")
        for user in others:
            audit.record(self._session, "user_deleted", user=user, actor=by)
        await self._delete(others, actor.id)
        log.warning("all other accounts deleted", accounts=len(others), requested_by=str(actor.id))

    async def _delete(self, users: Collection[User], by: UUID) -> None:
        await self._session.flush()
        gone = await accounts.make_nameless(self._session, [user.id for user in users])
        for user_id, generation in gone:
            self._notices.user_changed(self._session, user_id, generation)
            outbox.add(self._session, UserDeleted(user_id=user_id, deleted_by=by))
