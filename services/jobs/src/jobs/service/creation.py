"""Creation of jobs: one or several at once, and only once per Idempotency-Key."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import JobCreated, keys
from common.messaging import outbox
from common.web.identity import Identity
from jobs import metrics
from jobs.errors import ForeignSource, IdempotencyKeyInFlight, JobDeleted, JobIdTaken, ModelNotAvailable
from jobs.repository import IdempotencyRepository, JobRepository, WorkerRepository
from jobs.repository.search import name_terms
from jobs.scheduling.fairness import DELAYS
from jobs.schemas.creation import Admission, Choices, Claim, NewJob, NewJobs, NewUpload, Reservation
from jobs.schemas.jobs import JobView
from jobs.tables import Job

from .history import History
from .owners import require_present
from .quotas import Quotas
from .resources import Resources

log = structlog.get_logger(__name__)

KEYS_KEPT: Final = timedelta(hours=24)
_LEASE: Final = timedelta(seconds=60)


class JobCreation:
    """Creates jobs of one owner from stored recordings."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        self._session = session
        self._resources = resources
        self._jobs = JobRepository(session)
        self._keys = IdempotencyRepository(session)
        self._history = History(session)
        self._quotas = Quotas(session, resources)

    async def reserve(self, owner: Identity, claim: Claim) -> Reservation:
        """Lease the key to the claim's holder, or return the answer of the creation under the key.

        Raises JobDeleted if some jobs of that answer have been deleted.
        """
        row = await self._keys.lease(owner.user_id, claim.key, claim.holder, lease=_LEASE, kept=KEYS_KEPT)
        if row.answer is not None:
            created = [UUID(item["id"]) for item in row.answer["items"]]
            existing = await self._jobs.existing(created)
            if len(existing) < len(created):
                kept = [job_id for job_id in created if job_id in existing]
                raise JobDeleted([job_id for job_id in created if job_id not in existing], kept)
            return Reservation(state="answered", fingerprint=row.fingerprint, answer=row.answer)
        return Reservation(state="held" if row.holder == claim.holder else "in_flight")

    async def release(self, owner: Identity, claim: Claim) -> None:
        """Release a key whose request created nothing."""
        await self._keys.release(owner.user_id, claim.key, claim.holder)

    async def admit(self, who: Identity, wanted: Admission) -> None:
        """Raise the errors of the later creation, as far as they are known now; nothing is reserved."""
        await self._require_model(wanted.chosen)
        await self._quotas.admit(who, wanted)

    async def begin_upload(self, who: Identity, upload: NewUpload) -> None:
        """Count the bytes of a resumable upload; raises the errors of the later creation."""
        await self._require_model(upload)
        await self._quotas.begin_upload(who, upload)

    async def _require_model(self, choices: Choices) -> None:
        if "model" in choices.options.model_fields_set:
            await require_model(self._session, self._resources, choices.options.model)

    async def create_all(self, owner: Identity, new: NewJobs) -> list[JobView]:
        """Create all jobs or none, and store the answer for repetitions under the same key.

        Raises the errors of create(), and IdempotencyKeyInFlight if another request has the key.
        """
        views = [JobView.of(await self.create(owner, job)) for job in new.jobs]
        if new.claim is not None:
            answer = {"items": [view.model_dump(mode="json") for view in views]}
            kept = await self._keys.answer(
                owner.user_id, new.claim.key, new.claim.holder, fingerprint=new.claim.fingerprint, answer=answer
            )
            if not kept and not await self._is_repetition(owner, new):
                raise IdempotencyKeyInFlight("Another request has taken over this Idempotency-Key. Retry later.")
        return views

    async def create(self, owner: Identity, new: NewJob) -> Job:
        """Create a job; repeating the request returns the same job.

        Raises JobIdTaken, ForeignSource, ModelNotAvailable, QuotaExceeded, AccountGone.
        """
        await require_present(self._session, owner.user_id)
        if new.source_key != keys.source(new.job_id):
            raise ForeignSource(f"The recording of job {new.job_id} must be stored at {keys.source(new.job_id)}.")
        known = await self._jobs.get(new.job_id)
        if known is None:
            await require_model(self._session, self._resources, new.options.model)
            await self._quotas.require(owner, owner.user_id, size=new.size_bytes, job_id=new.job_id)
            job = await self._add(owner, new)
            if job is not None:
                return job
            known = await self._jobs.get(new.job_id)
        if known is None or known.owner_id != owner.user_id or not _same(known, new):
            raise JobIdTaken(f"The id {new.job_id} belongs to another job. Use a new id.")
        return known

    async def _is_repetition(self, owner: Identity, new: NewJobs) -> bool:
        """Return whether the same holder was answered before, and its first answer was lost."""
        assert new.claim is not None
        row = await self._keys.lease(owner.user_id, new.claim.key, new.claim.holder, lease=_LEASE, kept=KEYS_KEPT)
        return row.holder == new.claim.holder and row.fingerprint == new.claim.fingerprint

    async def _add(self, owner: Identity, new: NewJob) -> Job | None:
        with context.bound(job_id=new.job_id):
            job = await self._jobs.add(
                id=new.job_id,
                owner_id=owner.user_id,
                owner_name=owner.username,
                correlation_id=context.correlation_id(),
                traceparent=context.traceparent(),
                options=new.options.model_dump(mode="json"),
                duplicate_of=await self._jobs.first_with(owner.user_id, new.sha256),
                # Not the transaction's time: the recordings of one form are queued in its order.
                turn_at=func.clock_timestamp() + DELAYS[new.priority],
                **name_terms(new.file_name, new.tags),
                **new.model_dump(exclude={"job_id", "options"}),
            )
            if job is None:
                return None
            self._history.state(job)
            self._publish(owner.user_id, new)
            self._jobs.wake_dispatch()
            metrics.JOBS_CREATED.inc()
            log.info(
                "job queued",
                model=new.options.model,
                language=new.options.language,
                task=new.options.task,
                priority=new.priority,
                size_bytes=new.size_bytes,
            )
            return job

    def _publish(self, owner_id: UUID, new: NewJob) -> None:
        created = JobCreated(
            owner_id=owner_id,
            options=new.options,
            **new.model_dump(include={"job_id", "file_name", "source_key", "size_bytes", "sha256"}),
        )
        outbox.add(self._session, created)


async def require_model(session: AsyncSession, resources: Resources, model: str) -> None:
    """Raise ModelNotAvailable if workers are live and none of them serves the model."""
    served = await WorkerRepository(session).live_by_model(resources.settings.worker_timeout)
    if served and model not in served:
        raise ModelNotAvailable(model, sorted(served))


def _same(job: Job, new: NewJob) -> bool:
    fields: Sequence[str] = ("file_name", "content_type", "size_bytes", "sha256", "source_key", "tags", "callback_url")
    return all(getattr(job, name) == getattr(new, name) for name in fields) and job.choices == new.options
