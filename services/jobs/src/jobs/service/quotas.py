"""Quotas: how much one user may have waiting, stored and transcribed, and who is told what about it."""

from datetime import timedelta
from typing import Final, NoReturn
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.web.errors import QuotaExceeded
from common.web.identity import Identity
from jobs import metrics
from jobs.repository import UsageRepository, Used
from jobs.resources import Resources
from jobs.schemas import Admission, Allowance, NewUpload, Usage
from jobs.tables import Job

from .owners import require_present

DAYS_KEPT: Final = timedelta(days=35)

_HOUR: Final = 3600
# A slot may be free sooner or later; nobody knows, and asking every minute costs nothing.
_ASK_AGAIN_SECONDS: Final = 60


class Quotas:
    """Says no to what would be too much; what was accepted once is done, even if it turns out longer than thought."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        """Work inside the caller's transaction."""
        self._session = session
        self._settings = resources.settings
        self._usage = UsageRepository(session)

    async def admit(self, who: Identity, wanted: Admission) -> None:
        """Raise QuotaExceeded if what is about to be uploaded would be refused in the end; nothing is reserved."""
        if not self._is_exempt(who):
            self._require(await self._usage.used(who.user_id), jobs=wanted.jobs, size=wanted.size_bytes)

    async def begin_upload(self, who: Identity, upload: NewUpload) -> None:
        """Raise QuotaExceeded if the upload would be refused in the end, and count its bytes from now on otherwise.

        Raises AccountGone as well.
        """
        await require_present(self._session, who.user_id)
        await self.require(who, who.user_id, size=upload.size_bytes, job_id=upload.job_id)
        lifetime = timedelta(seconds=upload.lifetime_seconds)
        await self._usage.begin_upload(upload.job_id, who.user_id, upload.size_bytes, lifetime)

    async def end_upload(self, who: Identity, job_id: UUID) -> None:
        """Count the bytes of the caller's upload no more: it has become a job, or was given up."""
        await self._usage.end_upload(job_id, who.user_id)

    async def require(self, who: Identity, owner_id: UUID, *, size: int, job_id: UUID | None = None) -> None:
        """Raise QuotaExceeded unless the owner may have one more job in the queue, with so many more bytes stored.

        The job's own upload is not counted beside it. Until the transaction ends nobody else can take the place that
        was found.
        """
        if not self._is_exempt(who):
            await self._usage.one_at_a_time(owner_id)
            self._require(await self._usage.used(owner_id, besides=job_id), jobs=1, size=size)

    async def charge(self, job: Job, seconds: float) -> None:
        """Count a finished plan, unless the same recording was planned under the same options before."""
        if job.attempt == 1 or not await self._usage.charged_before(job):
            await self._usage.charge(job.owner_id, seconds)

    async def spend(self, who: Identity, seconds: float) -> None:
        """Count audio that a user has decoded once more; raises QuotaExceeded when the day's hours are used up."""
        if not self._is_exempt(who):
            await self._usage.one_at_a_time(who.user_id)
            self._require_hours(await self._usage.used(who.user_id))
        await self._usage.charge(who.user_id, seconds)

    async def usage(self, who: Identity) -> Usage:
        """What a user has, and may have."""
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
                f"{used.queued_jobs} of your jobs wait already, and at most {queue} may; come back when some have"
                " begun.",
                limit="queued_jobs",
                used=used.queued_jobs,
                allowed=queue,
                retry_after=_ASK_AGAIN_SECONDS,
            )
        if stored and size and used.stored_bytes + size > stored:
            _refuse(
                f"Your recordings take up {used.stored_bytes} of {stored} bytes, and this needs {size} more; delete"
                " jobs that you no longer need.",
                limit="stored_bytes",
                used=used.stored_bytes,
                allowed=stored,
            )
        self._require_hours(used)

    def _require_hours(self, used: Used) -> None:
        hours = self._settings.quota_audio_hours_per_day
        if hours and used.audio_seconds >= hours * _HOUR:
            _refuse(
                f"Your {hours:g} hours of audio for today are used up; new ones begin at"
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
