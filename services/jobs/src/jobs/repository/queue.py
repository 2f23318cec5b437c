"""Queries on how much is ahead of a job, and on how fast work has been done lately."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.eta import Measured, Running
from jobs.tables import Job

# Jobs of each owner whose sizes are added up; a longer queue is taken to go on like its front.
_SAMPLED: Final = 500

_RANK = text("""
    SELECT count(*) FROM jobs
    WHERE state = 'queued' AND owner_id = :owner AND (turn_at, id) <= (:turn_at, :job)
""")

# Owners take turns: until an owner's n-th job starts, each of the others has had n turns, or one less if the others
# waited less long for theirs.
_OTHERS = text("""
    WITH RECURSIVE owners(owner_id) AS (
        (SELECT owner_id FROM jobs WHERE state = 'queued' ORDER BY owner_id LIMIT 1)
        UNION ALL
        SELECT (SELECT jobs.owner_id FROM jobs WHERE state = 'queued' AND jobs.owner_id > owners.owner_id
                ORDER BY jobs.owner_id LIMIT 1)
        FROM owners WHERE owners.owner_id IS NOT NULL
    ), line AS (
        SELECT owner_id, coalesce((SELECT max(started_at) FROM jobs WHERE jobs.owner_id = owners.owner_id
                                   AND started_at IS NOT NULL), '-infinity') AS served
        FROM owners WHERE owner_id IS NOT NULL
    )
    SELECT coalesce(sum(CASE WHEN line.owner_id = :owner THEN 0
                             ELSE least(front.jobs, :rank - CASE WHEN line.served <= mine.served THEN 0 ELSE 1 END)
                        END), 0)::int AS jobs,
           coalesce(sum(sample.bytes), 0)::float AS bytes, coalesce(sum(sample.seconds), 0)::float AS seconds,
           coalesce(sum(sample.jobs), 0)::int AS sampled
    FROM line
    JOIN line AS mine ON mine.owner_id = :owner,
    LATERAL (SELECT count(*) AS jobs FROM (SELECT 1 FROM jobs WHERE state = 'queued' AND jobs.owner_id = line.owner_id
                                           LIMIT :rank) AS queued) AS front,
    LATERAL (SELECT count(*) AS jobs, sum(size_bytes) FILTER (WHERE duration_seconds IS NULL) AS bytes,
                    sum(duration_seconds) AS seconds
             FROM (SELECT size_bytes, duration_seconds FROM jobs
                   WHERE state = 'queued' AND jobs.owner_id = line.owner_id AND id <> :job
                   ORDER BY turn_at, id LIMIT least(:rank, :sampled)) AS queued) AS sample
""")

_RUNNING = text("""
    SELECT id, duration_seconds, size_bytes, seconds_known, seconds_done,
           chunks_planned IS NOT NULL AND chunks_known >= chunks_planned AS planned
    FROM jobs WHERE state = 'processing' LIMIT 1000
""")

_MEASURED = text("""
    WITH recent AS (
        SELECT * FROM jobs
        WHERE coalesce(finished_at, '9999-12-31 00:00:00+00'::timestamptz) < '9999-01-01'
          AND coalesce(finished_at, '9999-12-31 00:00:00+00'::timestamptz) > now() - interval '7 days'
        ORDER BY coalesce(finished_at, '9999-12-31 00:00:00+00'::timestamptz) DESC, id DESC LIMIT 200
    )
    SELECT (sum(seconds_done) FILTER (WHERE same_model AND decode_seconds > 0)
            / nullif(sum(decode_seconds) FILTER (WHERE same_model AND decode_seconds > 0), 0))::float AS speed,
           coalesce(sum(duration_seconds) FILTER (WHERE content_type = :content_type)
                    / nullif(sum(size_bytes) FILTER (WHERE content_type = :content_type), 0),
                    sum(duration_seconds) / nullif(sum(size_bytes), 0))::float AS seconds_per_byte,
           (sum(speech_seconds) / nullif(sum(duration_seconds), 0))::float AS speech_share
    FROM (SELECT *, options ->> 'model' = :model AS same_model FROM recent WHERE duration_seconds IS NOT NULL) AS done
""")


class QueueRepository:
    """Looks at the queue from one job's place in it."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def ahead(self, job: Job) -> tuple[int, float, float]:
        """Return a queued job's place (1 = next), and bytes and seconds of recordings in the jobs before it.

        Seconds are of jobs whose duration is known from an earlier attempt, bytes of all others.
        """
        place: dict[str, Any] = {"owner": job.owner_id, "job": job.id}
        rank = await self._session.scalar(_RANK, place | {"turn_at": job.turn_at}) or 1
        others = (await self._session.execute(_OTHERS, place | {"rank": rank, "sampled": _SAMPLED})).one()
        before = rank - 1 + others.jobs
        share = before / others.sampled if others.sampled else 0.0
        return before + 1, others.bytes * share, others.seconds * share

    async def running(self, measured: Measured) -> dict[UUID, Running]:
        """Return what is left to do for every running job."""
        rows = await self._session.execute(_RUNNING)
        return {
            row.id: Running(
                speech=measured.speech(row.duration_seconds, row.size_bytes),
                known=row.seconds_known,
                done=row.seconds_done,
                planned=row.planned,
            )
            for row in rows
        }

    async def measured(self, job: Job, workers: int) -> Measured:
        """Return what the jobs that finished lately say about jobs like this one."""
        values = {"content_type": job.content_type, "model": job.options["model"]}
        row = (await self._session.execute(_MEASURED, values)).one()
        return Measured(row.speed, row.seconds_per_byte, row.speech_share, workers)
