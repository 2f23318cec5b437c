"""The end of accounts: names, sessions and keys go at once, what they own by an event; a nameless row voids tokens."""

from collections.abc import Collection
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import ResetRequested, UserDeleted
from common.messaging import outbox
from common.web import Identity

from . import audit, repository
from .audit import Caller
from .errors import LastAdmin, OwnAccount, UserNotFound
from .notices import Notices
from .tables import User

log = structlog.get_logger(__name__)


class Removal:
    """Deletes accounts inside the transaction of the caller."""

    def __init__(self, session: AsyncSession, notices: Notices) -> None:
        self._session = session
        self._notices = notices

    async def delete(self, actor: Identity, user_id: UUID, caller: Caller) -> None:
        """Delete somebody's account; raises OwnAccount, LastAdmin or UserNotFound."""
        if user_id == actor.user_id:
            raise OwnAccount("You cannot delete the account that you are using.")
        admins = await repository.lock_active_admins(self._session)
        if admins == {user_id}:
            raise LastAdmin("This is the last administrator who can log in; make another one first.")
        user = await repository.user(self._session, user_id, lock=True)
        if user is None:
            raise UserNotFound("There is no account with this id.")
        audit.record(self._session, "user_deleted", user=user, caller=caller, actor=actor)
        await self._delete([user], actor.user_id)

    async def delete_others(self, event: ResetRequested) -> None:
        """Delete every account but that of the administrator who asked for the reset."""
        if event.requested_by not in await repository.lock_active_admins(self._session):
            log.error("no account is deleted: who asked is no administrator any more", by=str(event.requested_by))
            return
        users = await repository.all_users(self._session)
        actor = next(user for user in users if user.id == event.requested_by)
        others = [user for user in users if user is not actor]
        by = Identity(actor.id, actor.username, "admin", token="")
        for user in others:
            audit.record(self._session, "user_deleted", user=user, actor=by)
        await self._delete(others, actor.id)
        log.warning("all other accounts are deleted", accounts=len(others), requested_by=str(actor.id))

    async def _delete(self, users: Collection[User], by: UUID) -> None:
        await self._session.flush()
        gone = await repository.make_nameless(self._session, [user.id for user in users])
        for user_id, generation in gone:
            self._notices.user_changed(self._session, user_id, generation)
            outbox.add(self._session, UserDeleted(user_id=user_id, deleted_by=by))
