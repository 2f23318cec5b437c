"""Work leaves for the transcribers through the outbox, in the name of the request that created the job."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common import context
from common.events import AssembleWork, ChunkWork, JobOptions, PlanWork
from common.messaging import outbox
from jobs import metrics
from jobs.repository import LedgerRepository
from jobs.tables import Job


class _Origin(Protocol):
    @property
    def correlation_id(self) -> str: ...
    @property
    def traceparent(self) -> str | None: ...


@contextmanager
def of_job(origin: _Origin, job_id: UUID) -> Iterator[None]:
    """Continue the trace of the request that created the job, from a loop that has none of its own."""
    trace = context.child_traceparent(origin.traceparent)
    with context.bound(correlation_id=origin.correlation_id, traceparent=trace, job_id=job_id):
        yield


class WorkSender:
    """Writes work to the outbox; `repeated` work was sent before and showed no progress."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session
        self._ledger = LedgerRepository(session)

    async def plan(self, job: Job, *, repeated: bool = False) -> None:
        """Ask for the recording to be cut into chunks."""
        work = PlanWork(
            job_id=job.id,
            attempt=job.attempt,
            source_key=job.source_key,
            size_bytes=job.size_bytes,
            options=job.choices,
        )
        await self._send(work, repeated=repeated)

    async def chunk(self, row: Any, *, repeated: bool = False) -> None:
        """Ask for a chunk to be transcribed; `row` is a dispatched chunk with its job's options."""
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
        """Ask for the attempt's results to be merged into the transcript."""
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
