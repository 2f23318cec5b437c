"""Cancelling and restarting jobs."""

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import JobCancelled, JobOptions
from common.messaging import outbox
from common.web.identity import Identity
from jobs import metrics, states
from jobs.errors import JobActive, JobOver, LanguageNotKnown
from jobs.repository import HistoryRepository, JobRepository
from jobs.scheduling.fairness import DELAYS
from jobs.schemas.jobs import Restart
from jobs.states import REASONS, Reason, State
from jobs.tables import Job
from models.languages import UnknownLanguage, language_for

from .catalogue import JobCatalogue
from .creation import require_model
from .history import History
from .owners import require_present
from .quotas import Quotas
from .resources import Resources

log = structlog.get_logger(__name__)


class JobControl:
    """Cancels and restarts jobs on request."""

    def __init__(self, session: AsyncSession, resources: Resources) -> None:
        self._session = session
        self._resources = resources
        self._catalogue = JobCatalogue(session, resources)
        self._jobs = JobRepository(session)
        self._history = History(session)

    async def cancel(self, who: Identity, job_id: UUID) -> Job:
        """Cancel a job; a cancelled job is returned unchanged. Raises JobNotFound, JobOver."""
        job = await self._catalogue.locked(who, job_id)
        if job.state == State.CANCELLED:
            return job
        if State(job.state).final:
            raise JobOver(f"The job has already ended in state {job.state}.", state=job.state)
        states.require(State(job.state), State.CANCELLED)
        with context.bound(job_id=job_id):
            before = job.state
            await self._jobs.change(
                job,
                state=State.CANCELLED,
                reason_code=Reason.CANCELLED,
                reason=REASONS[Reason.CANCELLED],
                finished_at=func.now(),
            )
            self._history.state(job)
            outbox.add(self._session, JobCancelled(job_id=job.id, owner_id=job.owner_id, attempt=job.attempt))
            self._resources.cancellations.after_commit(self._session, job.id, job.attempt)
            self._jobs.wake_dispatch()
            metrics.JOBS_FINISHED.labels(State.CANCELLED, Reason.CANCELLED).inc()
            log.info("job cancelled", state=before)
        return job

    async def restart(self, who: Identity, job_id: UUID, wanted: Restart) -> Job:
        """Queue a job that has ended; its transcript stays readable until that of the new attempt is complete.

        Raises JobNotFound, JobActive, LanguageNotKnown, ModelNotAvailable, QuotaExceeded, AccountGone.
        """
        await require_present(self._session, who.user_id)
        job = await self._catalogue.locked(who, job_id)
        if not State(job.state).final:
            raise JobActive(f"The job is {job.state}. Cancel it before the restart.", state=job.state)
        states.require(State(job.state), State.QUEUED)
        options = _supported(JobOptions.model_validate(job.options | wanted.changes()))
        await require_model(self._session, self._resources, options.model)
        await Quotas(self._session, self._resources).require(who, job.owner_id, size=0)
        priority = wanted.priority or job.priority
        with context.bound(job_id=job_id):
            if job.started_at is not None:
                await HistoryRepository(self._session).archive_attempt(job)
            await self._jobs.change(
                job,
                state=State.QUEUED,
                options=options.model_dump(mode="json"),
                priority=priority,
                correlation_id=context.correlation_id(),
                traceparent=context.traceparent(),
                reason_code=None,
                reason=None,
                queued_at=func.now(),
                turn_at=func.now() + DELAYS[priority],
                **_RESET,
            )
            self._history.state(job)
            self._jobs.wake_dispatch()
            metrics.JOBS_RESTARTED.inc()
            log.info("job restarted", after_attempt=job.attempt, model=options.model)
        return job


def _supported(options: JobOptions) -> JobOptions:
    """Return the options with the language's code; raises LanguageNotKnown if the model does not support it."""
    if options.language is None:
        return options
    try:
        return options.model_copy(update={"language": language_for(options.model, options.language)})
    except UnknownLanguage as error:
        raise LanguageNotKnown(str(error)) from error


# The columns of an attempt before it starts. Duration, language, source and the pointer to the transcript belong to the
# recording, so they stay.
_RESET: dict[str, Any] = {
    **dict.fromkeys(
        (
            "started_at",
            "transcribed_at",
            "finished_at",
            "assembling_at",
            "work_dispatched_at",
            "progressed_at",
            "chunks_planned",
            "plan_key",
            "peaks_key",
        )
    ),
    "warnings": [],
    **dict.fromkeys(("work_dispatches", "chunks_known", "chunks_done"), 0),
    **dict.fromkeys(("seconds_known", "seconds_done", "decode_seconds"), 0.0),
}
