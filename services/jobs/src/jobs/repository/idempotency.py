"""Queries on creations that clients named."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import IdempotencyKey


class IdempotencyRepository:
    """Leases keys to one request at a time, and keeps what the request was answered."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def lease(
        self, owner_id: UUID, key: str, holder: UUID, *, lease: timedelta, kept: timedelta
    ) -> IdempotencyKey:
        """Give the key to a holder if it is new, too old, already the holder's, or left by a request that died.

        Return the row as it stands then: the holder has it, or somebody else, or it has its answer.
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
        """Keep the answer for whoever repeats the request; False if the holder has lost the key."""
        statement = (
            update(IdempotencyKey)
            .where(*_held(owner_id, key, holder), IdempotencyKey.answer.is_(None))
            .values(fingerprint=fingerprint, answer=answer)
            .returning(IdempotencyKey.key)
        )
        return await self._session.scalar(statement) is not None

    async def release(self, owner_id: UUID, key: str, holder: UUID) -> None:
        """Forget a key whose request came to nothing."""
        await self._session.execute(
            delete(IdempotencyKey).where(*_held(owner_id, key, holder), IdempotencyKey.answer.is_(None))
        )

    async def prune(self, kept: timedelta) -> None:
        """Forget keys older than this."""
        await self._session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - kept))


def _held(owner_id: UUID, key: str, holder: UUID) -> tuple[Any, ...]:
    return IdempotencyKey.owner_id == owner_id, IdempotencyKey.key == key, IdempotencyKey.holder == holder
