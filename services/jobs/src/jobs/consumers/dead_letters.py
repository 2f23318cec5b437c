"""Dead letters: everything the broker gave up on is kept; dead work ends its job, and no other."""

import asyncio
import hashlib
from collections.abc import Sequence
from uuid import UUID

import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common import context
from common.events import AssembleWork, ChunkWork, PlanWork, VerifyWork
from common.messaging import RawMessage

from . import metrics
from .progress import clock
from .repository import DeadLetterRepository, JobRepository, LedgerRepository, WorkerRepository
from .resources import Resources
from .service import JobLifecycle, Verifying
from .states import REASONS, Reason, State
from .storable import storable
from .tables import Job

log = structlog.get_logger(__name__)

Work = PlanWork | ChunkWork | AssembleWork

_LOOK_EVERY = 0.5


class _AboutJob(BaseModel):
    """What all messages about a job have in common."""

    job_id: UUID


class DeadLetters:
    """Takes in dead messages."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], resources: Resources) -> None:
        """Connects when the first letter comes."""
        self._sessions = sessions
        self._resources = resources

    async def store(self, messages: Sequence[RawMessage]) -> None:
        """Keep each message, and draw the consequence, in transactions of its own; both may be repeated."""
        for message in messages:
            job_id = _job_id(message)
            with context.bound(job_id=job_id):
                async with self._sessions.begin() as session:
                    await self._take_in(session, message, job_id)
        await asyncio.gather(*(self._judge(message) for message in messages))

    async def _take_in(self, session: AsyncSession, message: RawMessage, job_id: UUID | None) -> None:
        new = await DeadLetterRepository(session).add(
            fingerprint=hashlib.sha256(message.queue.encode() + b"\n" + message.body).hexdigest(),
            queue=message.queue,
            reason=message.reason or "unknown",
            deliveries=message.count,
            routing_key=message.routing_key,
            job_id=job_id,
            headers=storable(message.headers),
            body=message.body,
        )
        if new:
            metrics.DEAD_LETTERS.labels(message.queue).inc()
            log.error(
                "message dead-lettered", queue=message.queue, reason=message.reason, routing_key=message.routing_key
            )

    async def _judge(self, message: RawMessage) -> None:
        """End the job of dead work, unless the work lives on in a worker's hands."""
        work = _work(message)
        if work is None:
            return
        with context.bound(job_id=work.job_id):
            if message.reason == "delivery_limit" and await self._is_in_hand(work):
                log.warning("work goes on although its deliveries are used up", key=work.key)
                return
            async with self._sessions.begin() as session:
                if isinstance(work, VerifyWork):
                    await Verifying(session, self._resources).given_up(work)
                else:
                    await self._fail_job(session, work, message)

    async def _is_in_hand(self, work: Work | VerifyWork) -> bool:
        """Tell whether a worker says from now on that it holds the work: then connections broke, and no worker died."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._resources.settings.dead_work_grace_seconds
        async with self._sessions() as session:
            since = (await session.scalars(select(func.now()))).one()
        while loop.time() < deadline:
            await asyncio.sleep(_LOOK_EVERY)
            async with self._sessions() as session:
                if await WorkerRepository(session).holds(work.key, since):
                    return True
        return False

    async def _fail_job(self, session: AsyncSession, work: Work, message: RawMessage) -> None:
        """Fail the job unless its attempt is over or a copy of the work was done."""
        job = await JobRepository(session).lock_attempt(work.job_id, work.attempt)
        if job is None or job.state != State.PROCESSING:
            return
        what = await self._undone(session, job, work)
        if what is None:
            return
        sentence = REASONS[Reason.WORK_DEAD_LETTERED].format(
            work=what, count=message.count, why=message.reason or "unknown"
        )
        await JobLifecycle(session, self._resources).fail(job, Reason.WORK_DEAD_LETTERED, sentence)

    @staticmethod
    async def _undone(session: AsyncSession, job: Job, work: Work) -> str | None:
        """Name the work for people; None if it is done."""
        if isinstance(work, PlanWork):
            return None if job.plan_complete else "Cutting the recording into chunks"
        if isinstance(work, AssembleWork):
            return "Assembling the transcript"
        line = await LedgerRepository(session).get(work.job_id, work.attempt, work.chunk)
        if line is None or line.state == "done":
            return None
        if line.start_seconds is None or line.end_seconds is None:
            return f"Chunk {work.chunk}"
        return f"Chunk {work.chunk} ({clock(line.start_seconds)} to {clock(line.end_seconds)})"


def _job_id(message: RawMessage) -> UUID | None:
    try:
        return _AboutJob.model_validate_json(message.body).job_id
    except ValidationError:
        return None


def _work(message: RawMessage) -> Work | VerifyWork | None:
    """Return the work in a message from a work queue; None if it is something else, or not readable."""
    for command in (PlanWork, ChunkWork, AssembleWork, VerifyWork):
        # Work on chunks has a queue per model.
        if message.queue == command.name or message.queue.startswith(f"{command.name}."):
            try:
                return command.model_validate_json(message.body)
            except ValidationError:
                return None
    return None
