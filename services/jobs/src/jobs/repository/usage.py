"""Queries on the usage that quotas limit."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, delete, func, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.tables import AudioDay, Job, UploadBegun

_TODAY: Final = "(now() AT TIME ZONE 'UTC')::date"

_ONE_AT_A_TIME = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('jobs.quota/' || current_schema() || '/' || CAST(:owner AS text), 0))
""")

_USED = text(f"""
    SELECT (SELECT count(*) FROM jobs WHERE state = 'queued' AND owner_id = :owner) AS queued_jobs,
           (SELECT coalesce(sum(size_bytes), 0)::bigint FROM jobs WHERE owner_id = :owner)
           + (SELECT coalesce(sum(size_bytes), 0)::bigint FROM uploads_begun AS upload
              WHERE owner_id = :owner AND expires_at > now() AND job_id IS DISTINCT FROM CAST(:besides AS uuid)
                    AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = upload.job_id)) AS stored_bytes,
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
    """Usage of an owner; audio is that of today (UTC), and `resets_at` is the end of the day."""

    queued_jobs: int
    stored_bytes: int
    audio_seconds: float
    resets_at: datetime
    resets_in: int


class UsageRepository:
    """Reads and writes the usage of owners."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock(self, owner_id: UUID) -> None:
        """Take the owner's lock on creations, which is held until the transaction ends."""
        await self._session.execute(_ONE_AT_A_TIME, {"owner": str(owner_id)})

    async def used(self, owner_id: UUID, *, besides: UUID | None = None) -> Used:
        """Return the owner's usage, without the upload that becomes the job `besides`."""
        row = (await self._session.execute(_USED, {"owner": owner_id, "besides": besides})).one()
        return Used(**row._mapping)

    async def begin_upload(self, job_id: UUID, owner_id: UUID, size: int, lifetime: timedelta) -> None:
        """Count an upload's bytes for at most its lifetime."""
        values = {"size_bytes": size, "expires_at": func.now() + lifetime}
        statement = insert(UploadBegun).values(job_id=job_id, owner_id=owner_id, **values)
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=[UploadBegun.job_id], set_=values, where=UploadBegun.owner_id == owner_id
            )
        )

    async def end_upload(self, job_id: UUID, owner_id: UUID) -> None:
        """Stop counting an upload that became a job or was aborted."""
        begun = UploadBegun
        await self._session.execute(delete(begun).where(begun.job_id == job_id, begun.owner_id == owner_id))

    async def charged_before(self, job: Job) -> bool:
        """Return whether an earlier attempt with the same options finished its plan."""
        statement = _CHARGED_BEFORE.bindparams(bindparam("options", type_=JSONB))
        return bool(await self._session.scalar(statement, {"job": job.id, "options": job.options}))

    async def charge(self, owner_id: UUID, seconds: float) -> None:
        """Add seconds of audio to the owner's usage of today."""
        today = text(_TODAY)
        statement = insert(AudioDay).values(owner_id=owner_id, day=today, seconds=seconds)
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=[AudioDay.owner_id, AudioDay.day],
                set_={"seconds": AudioDay.seconds + statement.excluded.seconds},
            )
        )

    async def prune(self, kept: timedelta) -> None:
        """Delete days older than this, and expired uploads."""
        await self._session.execute(delete(UploadBegun).where(UploadBegun.expires_at < func.now()))
        await self._session.execute(delete(AudioDay).where(AudioDay.day < func.current_date() - kept.days))
