"""Queries on what happened to a job: its events in order, and the attempts that restarts left behind."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import at_commit, ring
from jobs.tables import Chunk, Job, JobEvent, PastAttempt

WAKE_WATCHERS = "job_events"

# The numbers come from the job's row, which its transaction holds until it commits: they become visible in order.
_TELL = text("""
    WITH told AS (
        SELECT job, kind, data, row_number() OVER (PARTITION BY job ORDER BY place) AS number
        FROM unnest(CAST(:jobs AS uuid[]), CAST(:kinds AS text[]), CAST(:datas AS text[]))
             WITH ORDINALITY AS events(job, kind, data, place)
    ), numbered AS (
        UPDATE jobs SET last_event = last_event + added.count
        FROM (SELECT job, count(*) AS count FROM told GROUP BY job) AS added
        WHERE jobs.id = added.job RETURNING jobs.id, last_event - added.count AS before
    )
    INSERT INTO job_events (job_id, seq, kind, data)
    SELECT told.job, before + number, kind, CAST(data AS jsonb) FROM told JOIN numbered ON numbered.id = told.job
""")

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
    "warnings",
)


class HistoryRepository:
    """Appends events under the job's own numbers, and keeps past attempts."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    def tell(self, job_id: UUID, kind: str, data: dict[str, Any]) -> None:
        """Append an event, at the commit, to a job that is locked or inserted by then, and wake who watches."""
        at_commit(self._session, _tell, (job_id, kind, json.dumps(data)))
        ring(self._session, WAKE_WATCHERS, str(job_id))

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


def _tell(connection: Connection, events: list[tuple[UUID, str, str]]) -> None:
    jobs, kinds, datas = zip(*events, strict=True)
    connection.execute(_TELL, {"jobs": list(jobs), "kinds": list(kinds), "datas": list(datas)})
