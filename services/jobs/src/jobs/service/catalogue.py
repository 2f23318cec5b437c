"""What a person may do with jobs: create, list, read, delete, follow the log."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import JobCancelled, JobCreated, JobDeleted, JobExpired
from common.messaging import outbox
from common.storage import keys
from jobs import metrics, states
from jobs.errors import ForeignSource, JobIdTaken, JobNotFound, ModelNotAvailable
from jobs.repository import JobRepository, LogRepository, WorkerRepository
from jobs.resources import Resources
from jobs.schemas import NewJob
from jobs.states import State
from jobs.tables import Job

log = structlog.get_logger(__name__)

# Cleanup knows when a job finished from a message, the row from the database's clock: near enough is the same finish.
_SAME_FINISH = timedelta(hours=1)


class JobCatalogue:
    """The jobs of one owner at a time: somebody else's job does not exist."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        """Work inside the caller's transaction."""
        self._session = session
        self._resources = resources
        self._jobs = JobRepository(session)
        self._logs = LogRepository(session)

    async def create(self, owner_id: UUID, new: NewJob) -> Job:
        """Accept a job; the same request by the same owner again returns the same job.

        Raises JobIdTaken, ForeignSource, ModelNotAvailable.
        """
        if new.source_key != keys.source(new.job_id):
            raise ForeignSource(f"the recording of job {new.job_id} must be at {keys.source(new.job_id)}")
        known = await self._jobs.get(new.job_id)
        if known is None:
            await self._require_model(new.options.model)
            job = await self._add(owner_id, new)
            if job is not None:
                return job
            known = await self._jobs.get(new.job_id)
        if known is None or known.owner_id != owner_id or not _same(known, new):
            raise JobIdTaken(f"the id {new.job_id} belongs to another job")
        return known

    async def page(
        self, owner_id: UUID, *, limit: int, before: tuple[datetime, UUID] | None, state: State | None
    ) -> list[Job]:
        """Return up to `limit` jobs of the owner, newest first, that follow a position."""
        return list(await self._jobs.page(owner_id, limit=limit, before=before, state=state))

    async def get(self, owner_id: UUID, job_id: UUID) -> Job:
        """Return the owner's job; raises JobNotFound."""
        job = await self._jobs.owned(owner_id, job_id)
        if job is None:
            raise JobNotFound(f"there is no job {job_id}")
        return job

    async def delete(self, owner_id: UUID, job_id: UUID) -> None:
        """Delete the owner's job, stopping it first if it is not over; raises JobNotFound."""
        job = await self._jobs.lock(job_id)
        if job is None or job.owner_id != owner_id:
            raise JobNotFound(f"there is no job {job_id}")
        with context.bound(job_id=job_id):
            await self._delete(job)

    async def expire(self, event: JobExpired) -> None:
        """Delete a job that cleanup found to be over for longer than the retention allows."""
        job = await self._jobs.lock(event.job_id)
        if job is None or not State(job.state).final or job.finished_at is None:
            return
        if abs(job.finished_at - event.finished_at) < _SAME_FINISH:
            await self._delete(job)

    async def _delete(self, job: Job) -> None:
        if not State(job.state).final:
            states.require(State(job.state), State.CANCELLED)
            cancelled = JobCancelled(job_id=job.id, owner_id=job.owner_id, attempt=job.attempt)
            outbox.add(self._session, cancelled)
            self._resources.cancellations.after_commit(self._session, job.id)
            metrics.JOBS_FINISHED.labels(State.CANCELLED, "").inc()
            log.info("job cancelled", state=job.state)
            await self._jobs.wake_dispatch()
        await self._jobs.delete(job)
        await self._logs.forget_job(job.id)
        outbox.add(self._session, JobDeleted(job_id=job.id, owner_id=job.owner_id))
        log.info("job deleted")

    async def _require_model(self, model: str) -> None:
        served = await WorkerRepository(self._session).live_by_model(self._resources.settings.worker_timeout)
        if served and model not in served:
            raise ModelNotAvailable(model, sorted(served))

    async def _add(self, owner_id: UUID, new: NewJob) -> Job | None:
        with context.bound(job_id=new.job_id):
            job = await self._jobs.add(
                id=new.job_id,
                owner_id=owner_id,
                correlation_id=context.correlation_id(),
                traceparent=context.traceparent(),
                options=new.options.model_dump(mode="json"),
                **new.model_dump(exclude={"job_id", "options"}),
            )
            if job is None:
                return None
            created = JobCreated(
                job_id=job.id,
                owner_id=owner_id,
                options=new.options,
                **new.model_dump(include={"file_name", "source_key", "size_bytes", "sha256"}),
            )
            outbox.add(self._session, created)
            await self._jobs.wake_dispatch()
            metrics.JOBS_CREATED.inc()
            log.info(
                "job queued",
                model=new.options.model,
                language=new.options.language,
                task=new.options.task,
                size_bytes=new.size_bytes,
            )
            return job


def _same(job: Job, new: NewJob) -> bool:
    fields: Sequence[str] = ("file_name", "content_type", "size_bytes", "sha256", "source_key")
    return all(getattr(job, name) == getattr(new, name) for name in fields) and job.choices == new.options
