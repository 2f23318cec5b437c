"""Queries on what an owner has of everything that quotas limit."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, delete, func, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import AudioDay, Job

_TODAY: Final = "(now() AT TIME ZONE 'UTC')::date"

_ONE_AT_A_TIME = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('jobs.quota/' || current_schema() || '/' || CAST(:owner AS text), 0))
""")

_USED = text(f"""
    SELECT (SELECT count(*) FROM jobs WHERE state = 'queued' AND owner_id = :owner) AS queued_jobs,
           (SELECT coalesce(sum(size_bytes), 0)::bigint FROM jobs WHERE owner_id = :owner) AS stored_bytes,
           coalesce((SELECT seconds FROM audio_days WHERE owner_id = :owner AND day = {_TODAY}), 0) AS audio_seconds,
           ({_TODAY} + 1)::timestamp AT TIME ZONE 'UTC' AS resets_at,
           greatest(1, ceil(extract(epoch FROM ({_TODAY} + 1)::timestamp AT TIME ZONE 'UTC' - now())))::int AS resets_in
""")  # noqa: S608 (a constant)

_CHARGED_BEFORE = text("""
    SELECT EXISTS (SELECT 1 FROM past_attempts
                   WHERE job_id = :job AND chunks_planned IS NOT NULL AND options = CAST(:options AS jsonb))
""")


@dataclass(frozen=True, slots=True)
class Used:
    """What an owner has; audio is of today, and `resets_at` is the midnight (UTC) that ends it."""

    queued_jobs: int
    stored_bytes: int
    audio_seconds: float
    resets_at: datetime
    resets_in: int


class UsageRepository:
    """Adds up and counts."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def one_at_a_time(self, owner_id: UUID) -> None:
        """Wait until nobody else creates jobs for this owner; held until the transaction ends."""
        await self._session.execute(_ONE_AT_A_TIME, {"owner": str(owner_id)})

    async def used(self, owner_id: UUID) -> Used:
        """Return what the owner has now."""
        row = (await self._session.execute(_USED, {"owner": owner_id})).one()
        return Used(**row._mapping)

    async def charged_before(self, job: Job) -> bool:
        """Tell whether an earlier attempt of the job under the same options had its plan finished."""
        statement = _CHARGED_BEFORE.bindparams(bindparam("options", type_=JSONB))
        return bool(await self._session.scalar(statement, {"job": job.id, "options": job.options}))

    async def charge(self, owner_id: UUID, seconds: float) -> None:
        """Add audio to the owner's day."""
        today = text(_TODAY)
        statement = insert(AudioDay).values(owner_id=owner_id, day=today, seconds=seconds)
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=[AudioDay.owner_id, AudioDay.day],
                set_={"seconds": AudioDay.seconds + statement.excluded.seconds},
            )
        )

    async def prune(self, kept: timedelta) -> None:
        """Forget days longer ago than this."""
        await self._session.execute(delete(AudioDay).where(AudioDay.day < func.current_date() - kept.days))
