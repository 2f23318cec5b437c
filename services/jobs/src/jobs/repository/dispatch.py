"""Queries of the dispatcher: queued jobs and planned chunks, and marking them as dispatched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.scheduling.fairness import WEIGHTS, FairQueue
from jobs.states import State
from jobs.tables import Job

# Skips from owner to owner in the index of queued jobs (loose index scan): a backlog of 100,000 jobs of three owners
# costs three index lookups.
_QUEUED = text("""
    WITH RECURSIVE owners(owner_id) AS (
        (SELECT owner_id FROM jobs WHERE state = 'queued' ORDER BY owner_id LIMIT 1)
        UNION ALL
        SELECT (SELECT jobs.owner_id FROM jobs WHERE state = 'queued' AND jobs.owner_id > owners.owner_id
                ORDER BY jobs.owner_id LIMIT 1)
        FROM owners WHERE owners.owner_id IS NOT NULL
    )
    SELECT owners.owner_id, queue.ids,
           (SELECT count(*) FROM jobs WHERE state = 'processing' AND jobs.owner_id = owners.owner_id) AS busy,
           coalesce((SELECT extract(epoch FROM max(started_at)) FROM jobs
                     WHERE jobs.owner_id = owners.owner_id AND started_at IS NOT NULL), 0)::float AS served
    FROM owners, LATERAL (
        SELECT array_agg(id ORDER BY turn_at, id) AS ids, min(turn_at) AS oldest
        FROM (SELECT id, turn_at FROM jobs WHERE state = 'queued' AND jobs.owner_id = owners.owner_id
              ORDER BY turn_at, id LIMIT :free) AS front
    ) AS queue
    WHERE owners.owner_id IS NOT NULL
    ORDER BY queue.oldest
""")

_CHUNK_QUEUES = text("""
    SELECT jobs.id, jobs.owner_id, jobs.attempt, jobs.options ->> 'model' AS model, jobs.priority,
           extract(epoch FROM now())::float AS now,
           count(*) FILTER (WHERE chunks.state = 'dispatched') AS busy,
           coalesce(extract(epoch FROM max(chunks.dispatched_at)), 0)::float AS served,
           coalesce(sum(coalesce(windows, :unknown)) FILTER (WHERE chunks.state = 'dispatched'), 0)::float AS load,
           coalesce((array_agg(chunk ORDER BY chunk) FILTER (WHERE chunks.state = 'planned'))
                    [1 : CAST(:front AS int)], '{}') AS waiting,
           coalesce((array_agg(coalesce(windows, :unknown) ORDER BY chunk) FILTER (WHERE chunks.state = 'planned'))
                    [1 : CAST(:front AS int)], '{}') AS sizes
    FROM jobs JOIN chunks ON chunks.job_id = jobs.id AND chunks.attempt = jobs.attempt
    WHERE jobs.state = 'processing'
    GROUP BY jobs.id
    ORDER BY jobs.started_at, jobs.id
""")

# Locks no job, and skips chunks that another transaction (a result, a deletion) has locked: it never waits, so it
# cannot deadlock with transactions that lock the job first.
_TAKE_CHUNKS = text("""
    WITH free AS (
        SELECT chunks.job_id, chunks.attempt, chunks.chunk, turn
        FROM unnest(CAST(:jobs AS uuid[]), CAST(:attempts AS int[]), CAST(:chunks AS int[]))
             WITH ORDINALITY AS turns(job_id, attempt, chunk, turn)
        JOIN chunks ON chunks.job_id = turns.job_id AND chunks.attempt = turns.attempt AND chunks.chunk = turns.chunk
        WHERE chunks.state = 'planned'
        FOR UPDATE OF chunks SKIP LOCKED
    )
    UPDATE chunks SET state = 'dispatched', dispatched_at = now(), dispatches = dispatches + 1
    FROM free JOIN jobs ON jobs.id = free.job_id AND jobs.attempt = free.attempt AND jobs.state = 'processing'
    WHERE chunks.job_id = free.job_id AND chunks.attempt = free.attempt AND chunks.chunk = free.chunk
    RETURNING chunks.job_id, chunks.attempt, chunks.chunk, chunks.language, chunks.windows, chunks.dispatches,
              jobs.options, jobs.correlation_id, jobs.traceparent, free.turn
""")


FULL_CHUNK = 4
"""Windows of a chunk of the greatest size; a chunk of unknown size counts as full."""


@dataclass(frozen=True, slots=True)
class WaitingChunk:
    """A chunk that may be dispatched."""

    job_id: UUID
    attempt: int
    chunk: int


class DispatchRepository:
    """Finds jobs and chunks to dispatch, and marks them as dispatched."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock(self) -> None:
        """Take the lock of the dispatchers, which is held until the transaction ends."""
        await self._session.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended('jobs.dispatch/' || current_schema(), 0))")
        )

    async def processing(self) -> int:
        """Return the number of slots in use."""
        query = select(func.count()).select_from(Job).where(Job.state == text("'processing'"))
        return await self._session.scalar(query) or 0

    async def queued(self, free: int) -> list[FairQueue[UUID]]:
        """Return a queue per owner with queued jobs: the first `free` of them in order."""
        rows = await self._session.execute(_QUEUED, {"free": free})
        return [FairQueue(row.owner_id, row.ids, row.busy, row.served) for row in rows]

    async def start(self, job_ids: Sequence[UUID]) -> list[Job]:
        """Start the next attempt of those of the jobs that are still queued; return them in the given order."""
        wanted = any_(bindparam("wanted", type_=ARRAY(Uuid)))
        free = select(Job.id).where(Job.id == wanted, Job.state == State.QUEUED).with_for_update(skip_locked=True)
        statement = (
            update(Job)
            .where(Job.id.in_(free.scalar_subquery()))
            .values(
                state=State.PROCESSING,
                attempt=Job.attempt + 1,
                started_at=func.now(),
                progressed_at=func.now(),
                work_dispatched_at=func.now(),
                work_dispatches=1,
            )
            .returning(Job)
        )
        started = await self._session.scalars(
            statement, {"wanted": list(job_ids)}, execution_options={"synchronize_session": False}
        )
        return sorted(started, key=lambda job: job_ids.index(job.id))

    async def chunk_queues(self, front: int) -> tuple[dict[str, list[FairQueue[WaitingChunk]]], float]:
        """Return per model a queue for each running job, with its first `front` planned chunks; and the present time.

        Loads and sizes are in windows.
        """
        queues: dict[str, list[FairQueue[WaitingChunk]]] = {}
        now = 0.0
        for row in await self._session.execute(_CHUNK_QUEUES, {"front": front, "unknown": FULL_CHUNK}):
            waiting = [WaitingChunk(row.id, row.attempt, chunk) for chunk in row.waiting]
            queue = FairQueue(
                row.owner_id, waiting, row.busy, row.served, WEIGHTS[row.priority], load=row.load, sizes=row.sizes
            )
            queues.setdefault(row.model, []).append(queue)
            now = row.now
        return queues, now

    async def take_chunks(self, chunks: Sequence[WaitingChunk]) -> list[Any]:
        """Mark those of the chunks that still wait as dispatched; return the fields of their work, in order."""
        values = {
            "jobs": [chunk.job_id for chunk in chunks],
            "attempts": [chunk.attempt for chunk in chunks],
            "chunks": [chunk.chunk for chunk in chunks],
        }
        rows = (await self._session.execute(_TAKE_CHUNKS, values)).all()
        return sorted(rows, key=lambda row: row.turn)
