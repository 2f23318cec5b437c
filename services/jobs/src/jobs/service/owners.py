"""Refusal of deleted accounts, even with a valid token."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from jobs.errors import AccountGone
from jobs.repository import OwnerRepository

TOMBSTONES_KEPT: Final = timedelta(days=7)
"""Longer than the longest life of an access token (24 hours), which the tombstone refuses."""


async def require_present(session: AsyncSession, user_id: UUID) -> None:
    """Raise AccountGone if the account is deleted; a concurrent deletion waits for this transaction."""
    if await OwnerRepository(session).is_deleted(user_id):
        raise AccountGone("This account was deleted. It cannot create or start jobs.")
