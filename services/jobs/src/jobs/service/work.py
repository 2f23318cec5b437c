"""Commands to the transcribers, sent through the outbox in the trace of the request that created the job."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import AssembleWork, ChunkWork, JobOptions, PlanWork
from common.messaging import outbox
from jobs import metrics
from jobs.repository import LedgerRepository, OverdueRepository
from jobs.tables import Job


class _Origin(Protocol):
    @property
    def correlation_id(self) -> str: ...
    @property
    def traceparent(self) -> str | None: ...


@contextmanager
def of_job(origin: _Origin, job_id: UUID) -> Iterator[None]:
    """Continue the trace of the request that created the job, in a loop or consumer."""
    trace = context.child_traceparent(origin.traceparent)
    with context.bound(correlation_id=origin.correlation_id, traceparent=trace, job_id=job_id):
        yield


class WorkSender:
    """Writes commands to the outbox; `repeated` work was sent before without progress."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._ledger = LedgerRepository(session)

    async def plan(self, job: Job, *, repeated: bool = False) -> None:
        """Send the work to plan the chunks of a recording."""
        work = PlanWork(
            job_id=job.id,
            attempt=job.attempt,
            source_key=job.source_key,
            size_bytes=job.size_bytes,
            options=job.choices,
        )
        await self._send(work, repeated=repeated)

    async def chunk(self, row: Any, *, repeated: bool = False) -> None:
        """Send the work to transcribe a chunk; `row` is a dispatched chunk with its job's options."""
        work = ChunkWork(
            job_id=row.job_id,
            attempt=row.attempt,
            chunk=row.chunk,
            language=row.language,
            options=JobOptions.model_validate(row.options),
            windows=row.windows,
        )
        await self._send(work, repeated=repeated)

    async def assemble(self, job: Job, *, repeated: bool = False) -> None:
        """Send the work to assemble the transcript from the attempt's results."""
        assert job.plan_key is not None
        keys, origins = await self._ledger.results(job.id, job.attempt)
        work = AssembleWork(
            job_id=job.id,
            attempt=job.attempt,
            plan_key=job.plan_key,
            result_keys=keys,
            options=job.choices,
            source_sha256=job.sha256,
            origins=origins,
        )
        await self._send(work, repeated=repeated)

    async def _send(self, work: PlanWork | ChunkWork | AssembleWork, *, repeated: bool) -> None:
        outbox.add(self._session, work)
        kind = work.type_name().removeprefix("work.")
        metrics.WORK_DISPATCHED.labels(kind).inc()
        if repeated:
            metrics.WORK_REPEATED.labels(kind).inc()


async def reannounce(session: AsyncSession) -> None:
    """Republish all kept events after a restore of the database, and let running attempts count their time from now.

    Unfinished work is sent when the relay finds the broker empty.
    """
    await outbox.reannounce(session)
    await OverdueRepository(session).restart_clocks()
