"""The queries; every time is the database's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import notify

from .tables import Analysis, AnalysisDay, Enrichment, Leased, State

RowT = TypeVar("RowT", bound=Leased)


@dataclass(frozen=True, slots=True)
class Claim:
    """A row that a worker has leased; attempt and tries together are its fencing token."""

    job_id: UUID
    attempt: int
    tries: int
    transcript_key: str
    correlation_id: str | None
    traceparent: str | None


class LeaseRepository(Generic[RowT]):
    """The rows of one table of work, in the transaction of the caller."""

    table: type[RowT]
    channel: ClassVar[str]

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def notify(self) -> None:
        """Notify the workers of this table at the commit."""
        notify(self._session, self.channel)

    async def claim(self, lease: timedelta) -> Claim | None:
        """Lease the row that has been due longest; another worker may lease it when the lease expires."""
        due = (
            select(self.table.job_id)
            .where(self.table.state == State.PENDING, self.table.available_at <= func.now())
            .order_by(self.table.available_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(self.table)
            .where(self.table.job_id == due.scalar_subquery())
            .values(tries=self.table.tries + 1, available_at=func.now() + lease)
            .returning(self.table)
        )
        row = await self._session.scalar(statement)
        if row is None:
            return None
        assert row.transcript_key is not None  # a pending row always has one
        return Claim(row.job_id, row.attempt, row.tries, row.transcript_key, row.correlation_id, row.traceparent)

    async def renew(self, claim: Claim, lease: timedelta) -> None:
        """Extend the lease if the claim is still valid."""
        await self._session.execute(
            update(self.table).where(*self._held(claim)).values(available_at=func.now() + lease)
        )

    async def lock(self, claim: Claim) -> bool:
        """Whether the claim is still valid; locks the row until the transaction ends."""
        query = select(self.table.job_id).where(*self._held(claim)).with_for_update()
        return await self._session.scalar(query) is not None

    async def finish(self, claim: Claim, state: State, **columns: Any) -> None:
        """Store the result under a claim that lock() confirmed."""
        values: dict[str, Any] = {**columns, "state": state, "finished_at": func.now()}
        await self._session.execute(update(self.table).where(*self._held(claim)).values(values))

    async def postpone(self, claim: Claim, delay: timedelta, reason: str) -> None:
        """Make the row due again after a delay, if the claim is still valid."""
        statement = update(self.table).where(*self._held(claim))
        await self._session.execute(statement.values(available_at=func.now() + delay, reason=reason))

    async def give_back(self, claim: Claim) -> None:
        """Undo the claim without counting a try."""
        statement = update(self.table).where(*self._held(claim))
        await self._session.execute(statement.values(available_at=func.now(), tries=self.table.tries - 1))
        self.notify()

    async def oldest_pending_seconds(self) -> float:
        """Age of the oldest pending row; 0 if there is none."""
        age = func.extract("epoch", func.now() - func.min(self.table.created_at))
        return float(await self._session.scalar(select(age).where(self.table.state == State.PENDING)) or 0.0)

    def _held(self, claim: Claim) -> Sequence[Any]:
        return (
            self.table.job_id == claim.job_id,
            self.table.state == State.PENDING,
            self.table.attempt == claim.attempt,
            self.table.tries == claim.tries,
        )


@dataclass(frozen=True, slots=True)
class Counted:
    """The analyses that a user has requested today, the end of the day (UTC), and the seconds until then."""

    analyses: int
    resets_at: datetime
    resets_in: int


class EnrichmentRepository(LeaseRepository[Enrichment]):
    """Enrichments, in the transaction of the caller."""

    table = Enrichment
    channel = "enrichments"

    async def find(self, job_id: UUID, owner_id: UUID | None, *, locked: bool = False) -> Enrichment | None:
        """Return the row of a job of this owner (None: of any owner), unless the job is deleted."""
        query = select(Enrichment).where(Enrichment.job_id == job_id, Enrichment.state != State.DELETED)
        if owner_id is not None:
            query = query.where(Enrichment.owner_id == owner_id)
        row: Enrichment | None = await self._session.scalar(query.with_for_update() if locked else query)
        return row

    async def put_awaited(self, job_id: UUID, owner_id: UUID) -> None:
        """Store that a job exists, unless it is known already."""
        fresh = insert(Enrichment).values(job_id=job_id, owner_id=owner_id, attempt=0, state=State.AWAITED)
        await self._session.execute(fresh.on_conflict_do_nothing())

    async def put_pending(self, **columns: Any) -> bool:
        """Store a pending row and notify the workers, unless the job is deleted or a later attempt is known."""
        fresh: dict[str, Any] = {**columns, "state": State.PENDING, "tries": 0, "reason": None, "finished_at": None}
        statement = insert(Enrichment).values(fresh)
        statement = statement.on_conflict_do_update(
            index_elements=[Enrichment.job_id],
            set_={**fresh, "available_at": func.now(), "created_at": func.now()},
            where=(Enrichment.state != State.DELETED) & (Enrichment.attempt < statement.excluded.attempt),
        )
        stored = await self._session.scalar(statement.returning(Enrichment.job_id)) is not None
        if stored:
            self.notify()
        return stored

    async def put_deleted(self, job_id: UUID, owner_id: UUID) -> None:
        """Delete everything about a job except its tombstone."""
        gone: dict[str, Any] = {"state": State.DELETED, "finished_at": func.now()}
        forgotten = {column.name: None for column in Enrichment.__table__.columns if column.nullable}
        statement = insert(Enrichment).values(job_id=job_id, owner_id=owner_id, attempt=0, **gone)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=[Enrichment.job_id], set_={**forgotten, **gone})
        )

    async def prune_deleted(self, older: timedelta) -> None:
        """Delete tombstones so old that no message about their jobs can still arrive."""
        long_gone = (Enrichment.state == State.DELETED) & (Enrichment.finished_at < func.now() - older)
        await self._session.execute(delete(Enrichment).where(long_gone))


class AnalysisRepository(LeaseRepository[Analysis]):
    """Analyses, in the transaction of the caller; at most one per job, of its current transcript."""

    table = Analysis
    channel = "analyses"

    async def find(self, job_id: UUID) -> Analysis | None:
        """Return the job's analysis, whatever its state."""
        return await self._session.get(Analysis, job_id, populate_existing=True)

    async def put_pending(self, **columns: Any) -> Analysis:
        """Replace the analysis by a pending one, and notify the workers."""
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
        self.notify()
        return stored

    async def fail_pending(self, reason_code: str, reason: str) -> None:
        """Mark all pending analyses as failed."""
        failed = {"state": State.FAILED, "finished_at": func.now(), "reason_code": reason_code, "reason": reason}
        await self._session.execute(update(Analysis).where(Analysis.state == State.PENDING).values(failed))

    async def remove(self, job_id: UUID) -> None:
        """Delete the analysis of a job."""
        await self._session.execute(delete(Analysis).where(Analysis.job_id == job_id))


class AnalysisDayRepository:
    """Numbers of requested analyses per user and day (UTC), in the transaction of the caller."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def count(self, user_id: UUID) -> Counted:
        """Count one more analysis of today; concurrent transactions of the same user wait for this one."""
        row = await self._session.execute(_COUNT, {"user": user_id})
        return Counted(**row.one()._mapping)

    async def prune(self, kept: timedelta) -> None:
        """Delete days older than `kept`."""
        await self._session.execute(delete(AnalysisDay).where(AnalysisDay.day < func.current_date() - kept.days))

    async def remove(self, user_id: UUID) -> None:
        """Delete all days of a user."""
        await self._session.execute(delete(AnalysisDay).where(AnalysisDay.user_id == user_id))


_COUNT: Final = text("""
    INSERT INTO analysis_days AS counted (user_id, day, analyses) VALUES (:user, (now() AT TIME ZONE 'UTC')::date, 1)
    ON CONFLICT (user_id, day) DO UPDATE SET analyses = counted.analyses + 1
    RETURNING analyses, (day + 1)::timestamp AT TIME ZONE 'UTC' AS resets_at,
              greatest(1, ceil(extract(epoch FROM (day + 1)::timestamp AT TIME ZONE 'UTC' - now())))::int AS resets_in
""")

_ANSWERED: Final = ("reason", "reason_code", "model", "prompt_version", "parts", "insight")
