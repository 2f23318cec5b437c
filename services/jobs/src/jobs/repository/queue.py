"""Queries on the position of a job in the queue, and on the recent speed of transcription."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.scheduling.eta import Measured, Running
from jobs.tables import Job

# Jobs per owner whose sizes are added up; the rest of a longer queue is extrapolated.
_SAMPLED: Final = 500

_RANK = text("""
    SELECT count(*) FROM jobs
    WHERE state = 'queued' AND owner_id = :owner AND (turn_at, id) <= (:turn_at, :job)
""")

# Owners take turns: before an owner's n-th job starts, each other owner has had n turns, or n - 1 if its last turn is
# more recent.
_OTHERS = text("""
    WITH RECURSIVE owners(owner_id) AS (
        (SELECT owner_id FROM jobs WHERE state = 'queued' ORDER BY owner_id LIMIT 1)
        UNION ALL
        SELECT (SELECT jobs.owner_id FROM jobs WHERE state = 'queued' AND jobs.owner_id > owners.owner_id
                ORDER BY jobs.owner_id LIMIT 1)
        FROM owners WHERE owners.owner_id IS NOT NULL
    ), queues AS (
        SELECT owner_id, coalesce((SELECT max(started_at) FROM jobs WHERE jobs.owner_id = owners.owner_id
                                   AND started_at IS NOT NULL), '-infinity') AS served
        FROM owners WHERE owner_id IS NOT NULL
    )
    SELECT coalesce(sum(CASE WHEN queues.owner_id = :owner THEN 0
                             ELSE least(front.jobs, :rank - CASE WHEN queues.served <= mine.served THEN 0 ELSE 1 END)
                        END), 0)::int AS jobs,
           coalesce(sum(sample.bytes), 0)::float AS bytes, coalesce(sum(sample.seconds), 0)::float AS seconds,
           coalesce(sum(sample.jobs), 0)::int AS sampled
    FROM queues
    JOIN queues AS mine ON mine.owner_id = :owner,
    LATERAL (SELECT count(*) AS jobs FROM (SELECT 1 FROM jobs WHERE state = 'queued' AND jobs.owner_id = queues.owner_id
                                           LIMIT :rank) AS queued) AS front,
    LATERAL (SELECT count(*) AS jobs, sum(size_bytes) FILTER (WHERE duration_seconds IS NULL) AS bytes,
                    sum(duration_seconds) AS seconds
             FROM (SELECT size_bytes, duration_seconds FROM jobs
                   WHERE state = 'queued' AND jobs.owner_id = queues.owner_id AND id <> :job
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
    """Reads the queue relative to one job."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def ahead(self, job: Job) -> tuple[int, float, float]:
        """Return a queued job's position (1 = next), and the bytes and seconds of the recordings before it.

        Seconds count jobs whose duration is known from an earlier attempt, bytes count all others.
        """
        place: dict[str, Any] = {"owner": job.owner_id, "job": job.id}
        rank = await self._session.scalar(_RANK, place | {"turn_at": job.turn_at}) or 1
        others = (await self._session.execute(_OTHERS, place | {"rank": rank, "sampled": _SAMPLED})).one()
        before = rank - 1 + others.jobs
        share = before / others.sampled if others.sampled else 0.0
        return before + 1, others.bytes * share, others.seconds * share

    async def running(self, measured: Measured) -> dict[UUID, Running]:
        """Return the remaining work of every running job."""
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
        """Return measurements of recently finished jobs that are similar to this one."""
        values = {"content_type": job.content_type, "model": job.options["model"]}
        row = (await self._session.execute(_MEASURED, values)).one()
        return Measured(row.speed, row.seconds_per_byte, row.speech_share, workers)
