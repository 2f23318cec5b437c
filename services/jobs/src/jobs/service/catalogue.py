"""Reading, listing and deleting jobs."""

from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import JobCancelled, JobDeleted, JobExpired
from common.messaging import outbox
from common.web.identity import Identity, NotAdmin
from jobs import metrics, states
from jobs.errors import AttemptNotFound, JobNotFound
from jobs.repository import (
    HistoryRepository,
    JobRepository,
    LedgerRepository,
    ListingRepository,
    LogRepository,
    QueueRepository,
    WorkerRepository,
)
from jobs.repository.listing import position
from jobs.scheduling import eta
from jobs.schemas.jobs import JobDetail, JobPage, JobView
from jobs.schemas.listing import COUNTED, Cursor, ListQuery
from jobs.schemas.transcripts import Transcript, of_ledger
from jobs.states import State
from jobs.tables import Job

from .resources import Resources

log = structlog.get_logger(__name__)

# The time in cleanup's message and the row's time come from two clocks: a difference below this is the same finish.
_SAME_FINISH = timedelta(hours=1)


class JobCatalogue:
    """The jobs that a user may see: their own, for administrators all; any other job reads as missing."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        self._session = session
        self._resources = resources
        self._jobs = JobRepository(session)
        self._logs = LogRepository(session)

    async def page(self, who: Identity, wanted: ListQuery) -> JobPage:
        """Return a page of a listing; raises InvalidCursor, and NotAdmin for the jobs of others."""
        owner_id = _listed(who, wanted)
        after = None if wanted.cursor is None else Cursor.decode(wanted.cursor, wanted)
        listing = ListingRepository(self._session)
        found = list(await listing.page(wanted, owner_id=owner_id, limit=wanted.limit + 1, after=after))
        shown = found[: wanted.limit]
        return JobPage(
            items=[JobView.of(job) for job in shown],
            next_cursor=position(shown[-1], wanted).encode() if len(found) > wanted.limit else None,
            total=await listing.count(wanted, owner_id=owner_id, most=COUNTED) if wanted.total else None,
        )

    async def get(self, who: Identity, job_id: UUID) -> Job:
        """Return a job; raises JobNotFound."""
        job = await self._jobs.get(job_id)
        return _visible(who, job, job_id)

    async def locked(self, who: Identity, job_id: UUID) -> Job:
        """Return a job, locked until the transaction ends; raises JobNotFound."""
        job = await self._jobs.lock(job_id)
        return _visible(who, job, job_id)

    async def detail(self, who: Identity, job_id: UUID) -> JobDetail:
        """Return a job with its position in the queue, its estimate and its attempts; raises JobNotFound."""
        job = await self.get(who, job_id)
        past = await HistoryRepository(self._session).attempts(job_id)
        place, seconds = await self._outlook(job)
        return JobDetail.with_history(job, list(past), queue_position=place, eta_seconds=seconds)

    async def transcript(self, who: Identity, job_id: UUID, attempt: int | None) -> Transcript:
        """Return the transcript so far; raises JobNotFound, AttemptNotFound.

        Without an attempt it is the job's transcript if there is one, else that of the current attempt.
        """
        job = await self.get(who, job_id)
        chosen = attempt or job.transcript_attempt or job.attempt
        past = {row.attempt: row for row in await HistoryRepository(self._session).attempts(job_id)}
        if chosen > job.attempt or (chosen < job.attempt and chosen not in past):
            raise AttemptNotFound(f"The job has no attempt {chosen}. GET /jobs/{job_id} lists its attempts.")
        rows = await LedgerRepository(self._session).rows(job_id, chosen)
        return of_ledger(job, past.get(chosen), chosen, rows)

    async def delete(self, who: Identity, job_id: UUID) -> None:
        """Delete a job, and cancel it first if it has not ended; raises JobNotFound."""
        await self._jobs.lock_duplicates(job_id)
        job = await self.locked(who, job_id)
        with context.bound(job_id=job_id):
            await self._delete(job)

    async def expire(self, event: JobExpired) -> None:
        """Delete a job whose retention has ended."""
        await self._jobs.lock_duplicates(event.job_id)
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
            self._resources.cancellations.after_commit(self._session, job.id, job.attempt)
            metrics.JOBS_FINISHED.labels(State.CANCELLED, "").inc()
            log.info("job cancelled", state=job.state)
            self._jobs.wake_dispatch()
        await self._jobs.delete(job)
        await self._logs.delete_of_job(job.id)
        outbox.add(self._session, JobDeleted(job_id=job.id, owner_id=job.owner_id))
        log.info("job deleted")

    async def _outlook(self, job: Job) -> tuple[int | None, float | None]:
        """Return a queued job's position, and the estimated seconds until the transcript; None = unknown."""
        if job.state not in (State.QUEUED, State.PROCESSING):
            return None, None
        queue = QueueRepository(self._session)
        live = await WorkerRepository(self._session).live_by_model(self._resources.settings.worker_timeout)
        measured = await queue.measured(job, live.get(job.choices.model, 0))
        running = await queue.running(measured)
        if job.state == State.PROCESSING:
            mine = running.pop(job.id, None)
            return None, None if mine is None else eta.of_running(mine, running.values(), measured)
        place, size, seconds = await queue.ahead(job)
        known = measured.speech(seconds, 0)
        estimated = measured.speech(None, size) if size else 0.0
        ahead = None if known is None or estimated is None else known + estimated
        mine_speech = measured.speech(job.duration_seconds, job.size_bytes)
        return place, eta.of_queued(mine_speech, ahead, running.values(), measured)


def _listed(who: Identity, wanted: ListQuery) -> UUID | None:
    """Return the owner whose jobs are listed; None = all owners."""
    if wanted.owner is None or wanted.owner == who.user_id:
        return who.user_id
    if not who.is_admin:
        raise NotAdmin("Only administrators may list the jobs of others. Omit `owner` to list your own.")
    return None if wanted.owner == "all" else wanted.owner


def _visible(who: Identity, job: Job | None, job_id: UUID) -> Job:
    if job is None or not (who.is_admin or job.owner_id == who.user_id):
        raise JobNotFound(f"There is no job {job_id}, or it belongs to another user.")
    return job
