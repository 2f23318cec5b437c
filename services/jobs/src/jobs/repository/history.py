"""Queries on the history of a job: its events in order, and its past attempts."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import at_commit, notify
from jobs.tables import Chunk, Job, JobEvent, PastAttempt

WAKE_WATCHERS = "job_events"

# The numbers come from the job's row, which the transaction locks until it commits: they become visible in order.
_APPEND = text("""
    WITH added AS (
        SELECT job, kind, data, row_number() OVER (PARTITION BY job ORDER BY place) AS number
        FROM unnest(CAST(:jobs AS uuid[]), CAST(:kinds AS text[]), CAST(:datas AS text[]))
             WITH ORDINALITY AS events(job, kind, data, place)
    ), numbered AS (
        UPDATE jobs SET last_event = last_event + counted.count
        FROM (SELECT job, count(*) AS count FROM added GROUP BY job) AS counted
        WHERE jobs.id = counted.job RETURNING jobs.id, last_event - counted.count AS before
    )
    INSERT INTO job_events (job_id, seq, kind, data)
    SELECT added.job, before + number, kind, CAST(data AS jsonb) FROM added JOIN numbered ON numbered.id = added.job
""")

_ARCHIVED = (
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
    """Appends events under consecutive numbers per job, and archives past attempts."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def append(self, job_id: UUID, kind: str, data: dict[str, Any]) -> None:
        """Append an event at the commit, when the job is locked or inserted, and notify the watchers."""
        at_commit(self._session, _append, (job_id, kind, json.dumps(data)))
        notify(self._session, WAKE_WATCHERS, str(job_id))

    async def after(self, job_id: UUID, seq: int, limit: int) -> list[tuple[JobEvent, Chunk | None]]:
        """Return the events after a number, in order, each with its chunk, if it has one."""
        same_chunk = (
            (Chunk.job_id == JobEvent.job_id)
            & (Chunk.attempt == JobEvent.data["attempt"].as_integer())
            & (Chunk.chunk == JobEvent.data["chunk"].as_integer())
        )
        query = (
            select(JobEvent, Chunk)
            .outerjoin(Chunk, same_chunk)
            .where(JobEvent.job_id == job_id, JobEvent.seq > seq)
            .order_by(JobEvent.seq)
            .limit(limit)
        )
        return [(event, chunk) for event, chunk in await self._session.execute(query)]

    async def archive_attempt(self, job: Job) -> None:
        """Archive the current attempt of a job; an archived attempt is not overwritten."""
        values = {name: getattr(job, name) for name in _ARCHIVED}
        await self._session.execute(insert(PastAttempt).values(job_id=job.id, **values).on_conflict_do_nothing())

    async def attempts(self, job_id: UUID) -> Sequence[PastAttempt]:
        """Return the attempts before the current one, in order."""
        query = select(PastAttempt).where(PastAttempt.job_id == job_id).order_by(PastAttempt.attempt)
        return (await self._session.scalars(query)).all()


def _append(connection: Connection, events: list[tuple[UUID, str, str]]) -> None:
    jobs, kinds, datas = zip(*events, strict=True)
    connection.execute(_APPEND, {"jobs": list(jobs), "kinds": list(kinds), "datas": list(datas)})
