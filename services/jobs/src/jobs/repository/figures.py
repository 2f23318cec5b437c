"""Queries behind the platform's key figures."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_ENDED = text("""
    SELECT count(*) FILTER (WHERE state = 'completed') AS completed,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
           avg(extract(epoch FROM finished_at - started_at)) FILTER (WHERE state = 'completed')::float AS mean,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - started_at)::float)
               FILTER (WHERE state = 'completed') AS p95,
           sum(duration_seconds) FILTER (WHERE state = 'completed') AS audio,
           sum(extract(epoch FROM transcribed_at - started_at)) FILTER (WHERE state = 'completed')::float AS spent,
           sum(decode_seconds) FILTER (WHERE state = 'completed') AS decoding,
           avg(extract(epoch FROM started_at - queued_at)) FILTER (WHERE state = 'completed')::float AS waited,
           coalesce(sum(cpu_seconds), 0) AS cpu, coalesce(sum(gpu_seconds), 0) AS gpu,
           coalesce(sum(wasted_seconds), 0) AS wasted, coalesce(sum(retries), 0)::int AS retries
    FROM jobs WHERE finished_at > now() - CAST(:window AS interval)
""")
_FAILURES = text("""
    SELECT reason_code, count(*) AS jobs FROM jobs
    WHERE state = 'failed' AND finished_at > now() - CAST(:window AS interval)
    GROUP BY reason_code ORDER BY jobs DESC, reason_code LIMIT 20
""")
# The length of a recording is known after its plan, or from an earlier attempt.
_QUEUE = text("""
    SELECT count(*) FILTER (WHERE state = 'queued') AS queued,
           count(*) FILTER (WHERE state = 'processing') AS processing,
           count(*) FILTER (WHERE state = 'enriching') AS enriching,
           coalesce(sum(duration_seconds) FILTER (WHERE state = 'queued'), 0)::float
             + coalesce(sum(greatest(seconds_known - seconds_done, 0)) FILTER (WHERE state = 'processing'), 0)::float
             AS audio_seconds,
           count(*) FILTER (WHERE state = 'queued' AND duration_seconds IS NULL) AS unmeasured,
           coalesce(sum(size_bytes) FILTER (WHERE state = 'queued' AND duration_seconds IS NULL), 0)::bigint
             AS unmeasured_bytes,
           coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'queued')), 0)::float AS oldest
    FROM jobs WHERE state IN ('queued', 'processing', 'enriching')
""")


class FiguresRepository:
    """Computes the figures from the rows of jobs."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def ended(self, window: timedelta) -> Any:
        """Return counts, durations and costs of the jobs that ended within the window."""
        return (await self._session.execute(_ENDED, {"window": window})).one()

    async def failures(self, window: timedelta) -> Sequence[Any]:
        """Return the most frequent reason codes of the jobs that failed within the window."""
        return (await self._session.execute(_FAILURES, {"window": window})).all()

    async def queue(self) -> Any:
        """Return counts of the unfinished jobs, and the audio that waits."""
        return (await self._session.execute(_QUEUE)).one()
