"""Queries on dead letters."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import DeadLetter, Replay


class DeadLetterRepository:
    """Reads and writes dead letters and their replays."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, **values: Any) -> bool:
        """Store a dead letter; return whether it is new."""
        statement = (
            insert(DeadLetter)
            .values(**values)
            .on_conflict_do_nothing(index_elements=[DeadLetter.fingerprint])
            .returning(DeadLetter.id)
        )
        return await self._session.scalar(statement) is not None

    async def page(
        self, *, limit: int, before: int | None, job_id: UUID | None
    ) -> Sequence[tuple[DeadLetter, Replay | None]]:
        """Return dead letters with their replays, newest first, of a job (None: of all)."""
        query = select(DeadLetter, Replay).outerjoin(Replay).order_by(DeadLetter.id.desc()).limit(limit)
        if before is not None:
            query = query.where(DeadLetter.id < before)
        if job_id is not None:
            query = query.where(DeadLetter.job_id == job_id)
        return [(letter, replay) for letter, replay in await self._session.execute(query)]

    async def lock(self, letter_id: int) -> DeadLetter | None:
        """Return a dead letter, locked until the transaction ends."""
        return await self._session.scalar(select(DeadLetter).where(DeadLetter.id == letter_id).with_for_update())

    async def replay_of(self, letter_id: int) -> Replay | None:
        """Return the replay of a dead letter."""
        return await self._session.get(Replay, letter_id)

    async def add_replay(self, letter_id: int, *, replayed_by: UUID, message_id: UUID | None) -> Replay:
        """Store that a dead letter was replayed."""
        replay = Replay(letter_id=letter_id, replayed_by=replayed_by, message_id=message_id)
        self._session.add(replay)
        await self._session.flush()
        await self._session.refresh(replay)
        return replay

    async def delete(self, letter_id: int) -> None:
        """Remove a dead letter."""
        await self._session.execute(delete(DeadLetter).where(DeadLetter.id == letter_id))

    async def waiting(self) -> int:
        """Return the number of dead letters that were not replayed."""
        query = select(func.count()).select_from(DeadLetter).outerjoin(Replay).where(Replay.letter_id.is_(None))
        return await self._session.scalar(query) or 0
