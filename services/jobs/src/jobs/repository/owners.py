"""Queries on deleted accounts, and on the rows of an account other than jobs."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import AudioDay, DeletedUser, IdempotencyKey, UploadBegun

_KEY: Final = "hashtextextended('jobs.owner/' || current_schema() || '/' || CAST(:owner AS text), 0)"
_SHARE = text(f"SELECT pg_advisory_xact_lock_shared({_KEY})")
_HOLD = text(f"SELECT pg_advisory_xact_lock({_KEY})")


class OwnerRepository:
    """Reads and writes the tombstones of accounts."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def is_deleted(self, user_id: UUID) -> bool:
        """Return whether the account is deleted; if not, a concurrent deletion waits for the end of this transaction.

        Two statements: under READ COMMITTED, only a statement that starts after the lock was granted sees the tombstone
        of the transaction that held it.
        """
        await self._session.execute(_SHARE, {"owner": str(user_id)})
        return bool(await self._session.scalar(select(select(DeletedUser).filter_by(user_id=user_id).exists())))

    async def mark_deleted(self, user_id: UUID) -> None:
        """Write the tombstone, after every transaction that found the account present has ended."""
        await self._session.execute(_HOLD, {"owner": str(user_id)})
        await self._session.execute(insert(DeletedUser).values(user_id=user_id).on_conflict_do_nothing())

    async def delete_belongings(self, user_id: UUID) -> Sequence[UUID]:
        """Delete the rows of the account other than jobs; return the ids of its resumable uploads."""
        for table in (IdempotencyKey, AudioDay):
            await self._session.execute(delete(table).where(table.owner_id == user_id))
        begun = delete(UploadBegun).where(UploadBegun.owner_id == user_id).returning(UploadBegun.job_id)
        return (await self._session.scalars(begun)).all()

    async def prune(self, kept: timedelta) -> None:
        """Delete tombstones older than this."""
        await self._session.execute(delete(DeletedUser).where(DeletedUser.deleted_at < func.now() - kept))
