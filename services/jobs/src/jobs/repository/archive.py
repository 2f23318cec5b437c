"""Queries on the log archive and on dead letters."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import DeadLetter, LogLine


class LogRepository:
    """Appends log lines in an order that readers can follow without missing one."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def append(self, lines: Sequence[dict[str, Any]]) -> None:
        """Write lines (job_id, log_id, record); those already archived are skipped.

        Writers take turns: numbers handed out by two transactions at once could become visible in the wrong order,
        and a reader who asks for what came after number 7 would never see number 6.
        """
        await self._session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended('jobs.logs/' || current_schema(), 0))")
        )
        await self._session.execute(
            insert(LogLine).on_conflict_do_nothing(index_elements=[LogLine.log_id]), list(lines)
        )

    async def read(self, job_id: UUID, *, after: int, limit: int) -> Sequence[LogLine]:
        """Return the job's lines with numbers above `after`, in order."""
        query = select(LogLine).where(LogLine.job_id == job_id, LogLine.seq > after).order_by(LogLine.seq).limit(limit)
        return (await self._session.scalars(query)).all()

    async def forget_job(self, job_id: UUID) -> None:
        """Remove the job's lines."""
        await self._session.execute(
            delete(LogLine).where(LogLine.job_id == job_id), execution_options={"synchronize_session": False}
        )

    async def prune(self, *, older_than: timedelta, keep: int, batch: int) -> int:
        """Remove at most `batch` lines that are older than this or not among the newest `keep`; return how many.

        Lines are counted by their numbers, which have gaps, so fewer than `keep` may remain.
        """
        newest = select(func.max(LogLine.seq)).scalar_subquery()
        surplus = (
            select(LogLine.seq)
            .where((LogLine.received_at < func.now() - older_than) | (LogLine.seq <= newest - keep))
            .order_by(LogLine.seq)
            .limit(batch)
        )
        statement = delete(LogLine).where(LogLine.seq.in_(surplus)).returning(LogLine.seq)
        removed = await self._session.scalars(statement, execution_options={"synchronize_session": False})
        return len(removed.all())


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
