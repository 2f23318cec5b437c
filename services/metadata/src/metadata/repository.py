"""Queries over enrichments and analyses; every time is the database's."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from .leases import LeaseRepository
from .tables import Analysis, AnalysisDay, Enrichment, State


@dataclass(frozen=True, slots=True)
class Counted:
    """The analyses a user has asked for today, the midnight (UTC) that ends the day, and the seconds until then."""

    analyses: int
    resets_at: datetime
    resets_in: int


class EnrichmentRepository(LeaseRepository[Enrichment]):
    """Enrichments within the caller's transaction."""

    table = Enrichment
    channel = "enrichments"

    async def find(self, job_id: UUID, owner_id: UUID | None, *, locked: bool = False) -> Enrichment | None:
        """Return what is known of a job, if the owner (None: anybody) may see it; a deleted job is not known."""
        query = select(Enrichment).where(Enrichment.job_id == job_id, Enrichment.state != State.DELETED)
        if owner_id is not None:
            query = query.where(Enrichment.owner_id == owner_id)
        row: Enrichment | None = await self._session.scalar(query.with_for_update() if locked else query)
        return row

    async def put_awaited(self, job_id: UUID, owner_id: UUID) -> None:
        """Note that a job exists whose transcript will follow, unless more is known already."""
        fresh = insert(Enrichment).values(job_id=job_id, owner_id=owner_id, attempt=0, state=State.AWAITED)
        await self._session.execute(fresh.on_conflict_do_nothing())

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
            self.wake()
        return stored

    async def put_deleted(self, job_id: UUID, owner_id: UUID) -> None:
        """Forget everything about a job but that it is gone."""
        gone: dict[str, Any] = {"state": State.DELETED, "finished_at": func.now()}
        forgotten = {column.name: None for column in Enrichment.__table__.columns if column.nullable}
        statement = insert(Enrichment).values(job_id=job_id, owner_id=owner_id, attempt=0, **gone)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=[Enrichment.job_id], set_={**forgotten, **gone})
        )

    async def prune_deleted(self, older: timedelta) -> None:
        """Remove what is left of jobs deleted so long ago that no message about them can still be on its way."""
        long_gone = (Enrichment.state == State.DELETED) & (Enrichment.finished_at < func.now() - older)
        await self._session.execute(delete(Enrichment).where(long_gone))


class AnalysisRepository(LeaseRepository[Analysis]):
    """Analyses within the caller's transaction; at most one per job, that of its current transcript."""

    table = Analysis
    channel = "analyses"

    async def find(self, job_id: UUID) -> Analysis | None:
        """Return the job's analysis, whatever its state."""
        return await self._session.get(Analysis, job_id, populate_existing=True)

    async def put_pending(self, **columns: Any) -> Analysis:
        """Store work to do in place of what there is, and wake a worker."""
        fresh: dict[str, Any] = {
            **dict.fromkeys(_ANSWERED),
            **columns,
            "state": State.PENDING,
            "tries": 0,
            "finished_at": None,
        }
        statement = insert(Analysis).values(fresh)
        statement = statement.on_conflict_do_update(
            index_elements=[Analysis.job_id], set_={**fresh, "available_at": func.now(), "created_at": func.now()}
        )
        rows = await self._session.scalars(statement.returning(Analysis), execution_options={"populate_existing": True})
        stored: Analysis = rows.one()
        self.wake()
        return stored

    async def fail_pending(self, reason_code: str, reason: str) -> None:
        """End all work that waits, because nobody will do it."""
        failed = {"state": State.FAILED, "finished_at": func.now(), "reason_code": reason_code, "reason": reason}
        await self._session.execute(update(Analysis).where(Analysis.state == State.PENDING).values(failed))

    async def remove(self, job_id: UUID) -> None:
        """Forget the job's analysis: its transcript is another one now, or gone."""
        await self._session.execute(delete(Analysis).where(Analysis.job_id == job_id))


class AnalysisDayRepository:
    """Counts the analyses that users ask for; days are of the database's clock, in UTC."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def count(self, user_id: UUID) -> Counted:
        """Count one more analysis of today; other transactions of the same user wait for the end of this one."""
        row = await self._session.execute(_COUNT, {"user": user_id})
        return Counted(**row.one()._mapping)

    async def prune(self, kept: timedelta) -> None:
        """Remove days longer ago than this."""
        await self._session.execute(delete(AnalysisDay).where(AnalysisDay.day < func.current_date() - kept.days))


_COUNT: Final = text("""
    INSERT INTO analysis_days AS counted (user_id, day, analyses) VALUES (:user, (now() AT TIME ZONE 'UTC')::date, 1)
    ON CONFLICT (user_id, day) DO UPDATE SET analyses = counted.analyses + 1
    RETURNING analyses, (day + 1)::timestamp AT TIME ZONE 'UTC' AS resets_at,
              greatest(1, ceil(extract(epoch FROM (day + 1)::timestamp AT TIME ZONE 'UTC' - now())))::int AS resets_in
""")

_ANSWERED: Final = ("reason", "reason_code", "model", "prompt_version", "parts", "insight")
