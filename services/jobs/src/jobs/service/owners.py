"""Who may begin something: any account that is not deleted, whatever its token says."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from jobs.errors import AccountGone
from jobs.repository import OwnerRepository

#: Far beyond the life of the longest access token (24 hours): until then a tombstone is what refuses it.
TOMBSTONE_KEPT: Final = timedelta(days=7)


async def require_present(session: AsyncSession, user_id: UUID) -> None:
    """Raise AccountGone if the account is deleted; a deletion that comes now waits for this transaction."""
    if await OwnerRepository(session).is_deleted(user_id):
        raise AccountGone("This account was deleted. Nothing can be created or started in its name.")
