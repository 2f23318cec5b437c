"""Dead letters from the broker: every message is stored, and dead-lettered work fails its job."""

import asyncio
import hashlib
from collections.abc import Sequence
from uuid import UUID

import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common import context
from common.messaging import RawMessage
from jobs import metrics
from jobs.repository import DeadLetterRepository, JobRepository, WorkerRepository
from jobs.repository.jsonb import sanitized
from jobs.service import DeadLetterCatalogue, Resources
from jobs.service.dead_letters import work_in

log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.5


class _AboutJob(BaseModel):
    """The field that all messages about a job share."""

    job_id: UUID


class DeadLetters:
    """Consumes the queue of dead letters."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], resources: Resources) -> None:
        self._sessions = sessions
        self._resources = resources

    async def store(self, messages: Sequence[RawMessage]) -> None:
        """Store each message and apply its consequence, each in its own transaction; both may be repeated.

        Work of a job that has been deleted since is dropped: its files are missing, and nobody can act on it.
        """
        messages = [message for message in messages if not await self._is_of_deleted_job(message)]
        for message in messages:
            job_id = _job_id(message)
            with context.bound(job_id=job_id):
                async with self._sessions.begin() as session:
                    await self._add(session, message, job_id)
        await asyncio.gather(*(self._apply(message) for message in messages))

    async def _add(self, session: AsyncSession, message: RawMessage, job_id: UUID | None) -> None:
        new = await DeadLetterRepository(session).add(
            fingerprint=hashlib.sha256(message.queue.encode() + b"\n" + message.body).hexdigest(),
            queue=message.queue,
            reason=message.reason or "unknown",
            deliveries=message.count,
            routing_key=message.routing_key,
            job_id=job_id,
            headers=sanitized(message.headers),
            body=message.body,
        )
        if new:
            metrics.DEAD_LETTERS.labels(message.queue).inc()
            log.error(
                "message dead-lettered", queue=message.queue, reason=message.reason, routing_key=message.routing_key
            )

    async def _apply(self, message: RawMessage) -> None:
        """Apply the end of dead-lettered work, unless a worker still has it in progress."""
        work = work_in(message.queue, message.body)
        if work is None:
            return
        with context.bound(job_id=work.job_id):
            if message.reason == "delivery_limit" and await self._is_in_progress(work.key):
                log.warning("dead-lettered work still in progress", key=work.key)
                return
            async with self._sessions.begin() as session:
                await DeadLetterCatalogue(session, self._resources).apply(work, message)

    async def _is_of_deleted_job(self, message: RawMessage) -> bool:
        work = work_in(message.queue, message.body)
        if work is None:
            return False
        async with self._sessions() as session:
            deleted = await JobRepository(session).get(work.job_id) is None
        if deleted:
            log.info("work of a deleted job dropped", job_id=str(work.job_id), key=work.key)
        return deleted

    async def _is_in_progress(self, key: str) -> bool:
        """Return whether a new heartbeat lists the work: then connections broke, and no worker died."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._resources.settings.dead_work_grace_seconds
        async with self._sessions() as session:
            since = (await session.scalars(select(func.now()))).one()
        while loop.time() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
            async with self._sessions() as session:
                if await WorkerRepository(session).holds(key, since):
                    return True
        return False


def _job_id(message: RawMessage) -> UUID | None:
    try:
        return _AboutJob.model_validate_json(message.body).job_id
    except ValidationError:
        return None
