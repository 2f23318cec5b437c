"""Queries on Idempotency-Keys."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import IdempotencyKey


class IdempotencyRepository:
    """Leases keys to one request at a time, and stores the answer of the request."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lease(
        self, owner_id: UUID, key: str, holder: UUID, *, lease: timedelta, kept: timedelta
    ) -> IdempotencyKey:
        """Lease the key to a holder if it is new, expired, already the holder's, or its lease has ended.

        Return the row afterwards: leased to the holder or to another request, or answered.
        """
        fresh = {"holder": holder, "leased_until": func.now() + lease, "fingerprint": None, "answer": None}
        outdated = IdempotencyKey.created_at < func.now() - kept
        unanswered = IdempotencyKey.answer.is_(None)
        free = or_(IdempotencyKey.holder == holder, IdempotencyKey.leased_until < func.now())
        statement = insert(IdempotencyKey).values(owner_id=owner_id, key=key, **fresh)
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=[IdempotencyKey.owner_id, IdempotencyKey.key],
                set_=fresh | {"created_at": func.now()},
                where=or_(outdated, unanswered & free),
            )
        )
        query = select(IdempotencyKey).where(IdempotencyKey.owner_id == owner_id, IdempotencyKey.key == key)
        return (await self._session.scalars(query, execution_options={"populate_existing": True})).one()

    async def answer(self, owner_id: UUID, key: str, holder: UUID, *, fingerprint: str, answer: dict[str, Any]) -> bool:
        """Store the answer for repetitions of the request; False if the holder has lost the lease."""
        statement = (
            update(IdempotencyKey)
            .where(*_held(owner_id, key, holder), IdempotencyKey.answer.is_(None))
            .values(fingerprint=fingerprint, answer=answer)
            .returning(IdempotencyKey.key)
        )
        return await self._session.scalar(statement) is not None

    async def release(self, owner_id: UUID, key: str, holder: UUID) -> None:
        """Delete a key whose request created nothing."""
        await self._session.execute(
            delete(IdempotencyKey).where(*_held(owner_id, key, holder), IdempotencyKey.answer.is_(None))
        )

    async def prune(self, kept: timedelta) -> None:
        """Delete keys older than this."""
        await self._session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - kept))


def _held(owner_id: UUID, key: str, holder: UUID) -> tuple[Any, ...]:
    return IdempotencyKey.owner_id == owner_id, IdempotencyKey.key == key, IdempotencyKey.holder == holder
