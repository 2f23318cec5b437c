"""Queries on dead letters."""

from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import DeadLetter


class DeadLetterRepository:
    """Stores what the broker gave up on."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def add(self, **values: Any) -> bool:
        """Store a letter; tell whether it is new."""
        statement = (
            insert(DeadLetter)
            .values(**values)
            .on_conflict_do_nothing(index_elements=[DeadLetter.fingerprint])
            .returning(DeadLetter.id)
        )
        return await self._session.scalar(statement) is not None
