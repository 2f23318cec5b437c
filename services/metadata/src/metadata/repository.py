"""Queries over enrichments; every time is the database's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from .tables import Enrichment, State

CHANNEL = "enrichments"


@dataclass(frozen=True, slots=True)
class Claim:
    """An enrichment in a worker's hands; attempt and tries together are its fencing token."""

    job_id: UUID
    attempt: int
    tries: int
    transcript_key: str
    correlation_id: str | None
    traceparent: str | None


class EnrichmentRepository:
    """Enrichments within the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        """Work in the given session; the caller commits."""
        self._session = session

    async def find_done(self, job_id: UUID, owner_id: UUID | None) -> Enrichment | None:
        """Return the finished enrichment of a job, if the owner (None: anybody) may see it."""
        query = select(Enrichment).where(Enrichment.job_id == job_id, Enrichment.state == State.DONE)
        if owner_id is not None:
            query = query.where(Enrichment.owner_id == owner_id)
        row: Enrichment | None = await self._session.scalar(query)
        return row

    async def put_pending(self, **columns: Any) -> bool:
        """Store work to do unless the job is deleted or a later attempt is known; wake a worker."""
        fresh: dict[str, Any] = {**columns, "state": State.PENDING, "tries": 0, "reason": None, "finished_at": None}
        statement = insert(Enrichment).values(fresh)
        statement = statement.on_conflict_do_update(
            index_elements=[Enrichment.job_id],
            set_={**fresh, "available_at": func.now(), "created_at": func.now()},
            where=(Enrichment.state != State.DELETED) & (Enrichment.attempt < statement.excluded.attempt),
        )
        stored = await self._session.scalar(statement.returning(Enrichment.job_id)) is not None
        if stored:
            await self._session.execute(text(f"SELECT pg_notify('{CHANNEL}', current_schema())"))
        return stored

    async def put_deleted(self, job_id: UUID, owner_id: UUID) -> None:
        """Forget everything about a job but that it is gone."""
        gone: dict[str, Any] = {"state": State.DELETED, "finished_at": func.now()}
        forgotten = {column.name: None for column in Enrichment.__table__.columns if column.nullable}
        statement = insert(Enrichment).values(job_id=job_id, owner_id=owner_id, attempt=0, **gone)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=[Enrichment.job_id], set_={**forgotten, **gone})
        )

    async def claim(self, lease: timedelta) -> Claim | None:
        """Take the work that waits longest; it is another worker's again when the lease runs out."""
        due = (
            select(Enrichment.job_id)
            .where(Enrichment.state == State.PENDING, Enrichment.available_at <= func.now())
            .order_by(Enrichment.available_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(Enrichment)
            .where(Enrichment.job_id == due.scalar_subquery())
            .values(tries=Enrichment.tries + 1, available_at=func.now() + lease)
            .returning(Enrichment)
        )
        row = await self._session.scalar(statement)
        if row is None:
            return None
        assert row.transcript_key is not None  # only a deleted job's row has none
        return Claim(row.job_id, row.attempt, row.tries, row.transcript_key, row.correlation_id, row.traceparent)

    async def lock(self, claim: Claim) -> bool:
        """Tell whether the claim still holds, and keep it so until the end of the transaction."""
        query = select(Enrichment.job_id).where(*_held(claim)).with_for_update()
        return await self._session.scalar(query) is not None

    async def finish(self, claim: Claim, state: State, **columns: Any) -> None:
        """End the work under a claim that lock() confirmed."""
        values: dict[str, Any] = {**columns, "state": state, "finished_at": func.now()}
        await self._session.execute(update(Enrichment).where(*_held(claim)).values(values))

    async def postpone(self, claim: Claim, delay: timedelta, reason: str) -> None:
        """Leave the work for later, if the claim still holds."""
        statement = update(Enrichment).where(*_held(claim))
        await self._session.execute(statement.values(available_at=func.now() + delay, reason=reason))

    async def give_back(self, claim: Claim) -> None:
        """Undo the claim: nothing was tried."""
        statement = update(Enrichment).where(*_held(claim))
        await self._session.execute(statement.values(available_at=func.now(), tries=Enrichment.tries - 1))
        await self._session.execute(text(f"SELECT pg_notify('{CHANNEL}', current_schema())"))

    async def oldest_pending_seconds(self) -> float:
        """Age of the oldest unfinished enrichment; 0 if there is none."""
        age = func.extract("epoch", func.now() - func.min(Enrichment.created_at))
        return float(await self._session.scalar(select(age).where(Enrichment.state == State.PENDING)) or 0.0)

    async def prune_deleted(self, older: timedelta) -> None:
        """Remove what is left of jobs deleted so long ago that no message about them can still be on its way."""
        long_gone = (Enrichment.state == State.DELETED) & (Enrichment.finished_at < func.now() - older)
        await self._session.execute(delete(Enrichment).where(long_gone))


def _held(claim: Claim) -> Sequence[Any]:
    return (
        Enrichment.job_id == claim.job_id,
        Enrichment.state == State.PENDING,
        Enrichment.attempt == claim.attempt,
        Enrichment.tries == claim.tries,
    )
