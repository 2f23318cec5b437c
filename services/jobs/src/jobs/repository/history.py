"""Queries on what happened to a job: its events in order, and the attempts that restarts left behind."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import Chunk, Job, JobEvent, PastAttempt

WAKE_WATCHERS = "job_events"

# The number comes from the job's row, which its transaction holds until it commits: numbers become visible in order.
_TELL = text("""
    WITH numbered AS (
        UPDATE jobs SET last_event = last_event + 1 WHERE id = :job RETURNING id, last_event
    ), written AS (
        INSERT INTO job_events (job_id, seq, kind, data) SELECT id, last_event, :kind, :data FROM numbered
    )
    SELECT pg_notify(:channel, current_schema() || ' ' || id) FROM numbered
""").bindparams(bindparam("data", type_=JSON))

_LEFT_BEHIND = (
    "attempt",
    "options",
    "state",
    "reason_code",
    "reason",
    "queued_at",
    "started_at",
    "transcribed_at",
    "finished_at",
    "chunks_planned",
    "chunks_done",
    "decode_seconds",
)


class HistoryRepository:
    """Appends events under the job's own numbers, and keeps past attempts."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def tell(self, job_id: UUID, kind: str, data: dict[str, Any]) -> None:
        """Append an event to a job that this transaction has locked or inserted, and wake who watches."""
        await self._session.execute(_TELL, {"job": job_id, "kind": kind, "data": data, "channel": WAKE_WATCHERS})

    async def after(self, job_id: UUID, seq: int, limit: int) -> list[tuple[JobEvent, Chunk | None]]:
        """Return the events that follow a number, in order, each with the chunk it is about."""
        about = (
            (Chunk.job_id == JobEvent.job_id)
            & (Chunk.attempt == JobEvent.data["attempt"].as_integer())
            & (Chunk.chunk == JobEvent.data["chunk"].as_integer())
        )
        query = (
            select(JobEvent, Chunk)
            .outerjoin(Chunk, about)
            .where(JobEvent.job_id == job_id, JobEvent.seq > seq)
            .order_by(JobEvent.seq)
            .limit(limit)
        )
        return [(event, chunk) for event, chunk in await self._session.execute(query)]

    async def leave_behind(self, job: Job) -> None:
        """Keep the attempt that the row describes; one that was kept before stays as it is."""
        values = {name: getattr(job, name) for name in _LEFT_BEHIND}
        await self._session.execute(insert(PastAttempt).values(job_id=job.id, **values).on_conflict_do_nothing())

    async def attempts(self, job_id: UUID) -> Sequence[PastAttempt]:
        """Return the attempts before the current one, in order."""
        query = select(PastAttempt).where(PastAttempt.job_id == job_id).order_by(PastAttempt.attempt)
        return (await self._session.scalars(query)).all()
