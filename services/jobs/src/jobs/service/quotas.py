"""Quotas of a user: queued jobs, stored bytes, and hours of audio per day."""

from datetime import timedelta
from typing import Final, NoReturn
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.web.errors import QuotaExceeded
from common.web.identity import Identity
from jobs import metrics
from jobs.repository import UsageRepository, Used
from jobs.schemas.creation import Admission, NewUpload
from jobs.schemas.usage import Allowance, Usage
from jobs.tables import Job

from .owners import require_present
from .resources import Resources

DAYS_KEPT: Final = timedelta(days=35)

_HOUR: Final = 3600
# When a slot becomes free is unknown, and a retry per minute is cheap.
_RETRY_SECONDS: Final = 60


class Quotas:
    """Refuses requests beyond a quota; accepted jobs are finished, even if they turn out longer than expected."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        self._session = session
        self._settings = resources.settings
        self._usage = UsageRepository(session)

    async def admit(self, who: Identity, wanted: Admission) -> None:
        """Raise QuotaExceeded if the upload would be refused; nothing is reserved."""
        if not self._is_exempt(who):
            self._require(await self._usage.used(who.user_id), jobs=wanted.jobs, size=wanted.size_bytes)

    async def begin_upload(self, who: Identity, upload: NewUpload) -> None:
        """Count the bytes of an upload; raises QuotaExceeded, AccountGone."""
        await require_present(self._session, who.user_id)
        await self.require(who, who.user_id, size=upload.size_bytes, job_id=upload.job_id)
        lifetime = timedelta(seconds=upload.lifetime_seconds)
        await self._usage.begin_upload(upload.job_id, who.user_id, upload.size_bytes, lifetime)

    async def end_upload(self, who: Identity, job_id: UUID) -> None:
        """Stop counting the caller's upload, which became a job or was aborted."""
        await self._usage.end_upload(job_id, who.user_id)

    async def require(self, who: Identity, owner_id: UUID, *, size: int, job_id: UUID | None = None) -> None:
        """Raise QuotaExceeded unless the owner may queue one more job and store so many more bytes.

        The job's own upload is not counted twice. The owner's other creations wait until the transaction ends.
        """
        if not self._is_exempt(who):
            await self._usage.lock(owner_id)
            self._require(await self._usage.used(owner_id, besides=job_id), jobs=1, size=size)

    async def charge(self, job: Job, seconds: float) -> None:
        """Count the audio of a finished plan, unless an earlier attempt with the same options was counted."""
        if job.attempt == 1 or not await self._usage.charged_before(job):
            await self._usage.charge(job.owner_id, seconds)

    async def spend(self, who: Identity, seconds: float) -> None:
        """Count audio that is decoded again for a user; raises QuotaExceeded if the hours of the day are used up."""
        if not self._is_exempt(who):
            await self._usage.lock(who.user_id)
            self._require_hours(await self._usage.used(who.user_id))
        await self._usage.charge(who.user_id, seconds)

    async def usage(self, who: Identity) -> Usage:
        """Return usage and limits of a user."""
        used = await self._usage.used(who.user_id)
        exempt = self._is_exempt(who)

        def allowance(amount: float, allowed: float, **further: object) -> Allowance:
            limit = None if exempt or not allowed else allowed
            return Allowance.model_validate({"used": amount, "allowed": limit, **further})

        return Usage(
            queued_jobs=allowance(used.queued_jobs, self._settings.quota_queued_jobs),
            stored_bytes=allowance(used.stored_bytes, self._settings.quota_stored_bytes),
            audio_hours_per_day=allowance(
                round(used.audio_seconds / _HOUR, 3),
                self._settings.quota_audio_hours_per_day,
                resets_at=used.resets_at,
            ),
        )

    def _is_exempt(self, who: Identity) -> bool:
        settings = self._settings
        limits = (settings.quota_queued_jobs, settings.quota_stored_bytes, settings.quota_audio_hours_per_day)
        return (who.is_admin and settings.quotas_exempt_admins) or not any(limits)

    def _require(self, used: Used, *, jobs: int, size: int) -> None:
        queue, stored = self._settings.quota_queued_jobs, self._settings.quota_stored_bytes
        if queue and used.queued_jobs + jobs > queue:
            _refuse(
                f"{used.queued_jobs} of your jobs are queued, and the limit is {queue}. Retry when some have started.",
                limit="queued_jobs",
                used=used.queued_jobs,
                allowed=queue,
                retry_after=_RETRY_SECONDS,
            )
        if stored and size and used.stored_bytes + size > stored:
            _refuse(
                f"Your recordings use {used.stored_bytes} of {stored} bytes, and this one needs {size} more. Delete"
                " jobs that you do not need any more.",
                limit="stored_bytes",
                used=used.stored_bytes,
                allowed=stored,
            )
        self._require_hours(used)

    def _require_hours(self, used: Used) -> None:
        hours = self._settings.quota_audio_hours_per_day
        if hours and used.audio_seconds >= hours * _HOUR:
            _refuse(
                f"Your {hours:g} hours of audio for today are used up. The quota is reset at"
                f" {used.resets_at:%Y-%m-%d %H:%M} UTC.",
                limit="audio_hours_per_day",
                used=round(used.audio_seconds / _HOUR, 3),
                allowed=hours,
                resets_at=used.resets_at,
                retry_after=used.resets_in,
            )


def _refuse(detail: str, *, limit: str, **values: object) -> NoReturn:
    metrics.QUOTA_REFUSALS.labels(limit).inc()
    raise QuotaExceeded(detail, limit=limit, **values)  # type: ignore[arg-type]
