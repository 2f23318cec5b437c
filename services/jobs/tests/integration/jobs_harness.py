"""Test support: users with tokens, new jobs, workers, and a running service."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.events import (
    AssembleWork,
    ChunkWork,
    Command,
    Event,
    JobOptions,
    PlanWork,
    keys,
)
from common.messaging import Broker, Delivery, WorkConsumer
from common.testing import eventually
from common.testing.events import audio_planned, chunk_planned, chunk_transcribed, metadata_enriched, transcript_ready
from common.testing.messages import published
from common.web.identity import Identity
from jobs.schemas.creation import NewJob
from jobs.settings import Settings
from jobs.tables import Job, Outbox


def an_identity(user_id: UUID | None = None) -> Identity:
    """Return the identity in a verified token."""
    return Identity(user_id or uuid4(), "ann", "user", "a-token")


def a_new_job(job_id: UUID | None = None, **choices: Any) -> NewJob:
    """Return a request for a new job; choices are transcription options or fields of the request."""
    job_id = job_id or uuid4()
    options = {name: choices.pop(name) for name in set(choices) & set(JobOptions.model_fields)}
    sent: dict[str, Any] = {"file_name": "talk.mp3", "sha256": "ab" * 32} | choices
    return NewJob(
        job_id=job_id,
        content_type="audio/mpeg",
        size_bytes=1234,
        source_key=keys.source(job_id),
        options=JobOptions(**options),
        **sent,
    )


async def read_job(sessions: async_sessionmaker[AsyncSession], job_id: UUID) -> Job:
    """Return the committed row of a job."""
    async with sessions() as session:
        job = await session.get(Job, job_id)
    assert job is not None
    return job


async def sent(sessions: async_sessionmaker[AsyncSession], *kinds: type[Event] | type[Command]) -> list[Any]:
    """Return the messages of these kinds (default: all) that jobs wrote to its outbox, in order."""
    return await published(sessions, Outbox, *kinds)


@dataclass
class Workers:
    """Replaces the transcribers: consumes and records their work, and fails on poisoned work."""

    taken: list[Command] = field(default_factory=list)
    poisoned: set[str] = field(default_factory=set)

    async def take(self, work: Command, _delivery: Delivery) -> None:
        """Record a command."""
        if work.key in self.poisoned:
            raise RuntimeError("this work kills its worker")
        self.taken.append(work)

    def of(self, job_id: UUID, kind: type[Command]) -> list[Any]:
        """Return the recorded work of a type for a job."""
        return [work for work in self.taken if isinstance(work, kind) and getattr(work, "job_id", None) == job_id]

    @asynccontextmanager
    async def working(self, broker: Broker, model: str = "base") -> AsyncIterator[None]:
        """Consume all work queues while the block runs."""
        consumers: list[WorkConsumer[Any]] = [
            WorkConsumer(broker, queue="work.plan", command=PlanWork, handler=self.take),
            WorkConsumer(broker, queue=f"work.chunk.{model}", command=ChunkWork, handler=self.take),
            WorkConsumer(broker, queue="work.assemble", command=AssembleWork, handler=self.take),
        ]
        for consumer in consumers:
            await consumer.start()
        try:
            yield
        finally:
            for consumer in consumers:
                await consumer.stop(5)


@dataclass
class Person:
    """A user with a token."""

    id: UUID
    http: httpx.AsyncClient

    async def post(self, new: NewJob, **changes: Any) -> httpx.Response:
        """Send the request to create a job; changes replace fields of its JSON."""
        return await self.http.post("/jobs", json={"jobs": [new.model_dump(mode="json") | changes]})

    async def create(self, new: NewJob | None = None) -> UUID:
        """Create a job and return its id."""
        new = new or a_new_job()
        answer = await self.post(new)
        assert answer.status_code == 201, answer.text
        return new.job_id

    async def reached(self, job_id: UUID, state: str) -> dict[str, Any]:
        """Wait until a job is in a state, and return it."""
        return await eventually(lambda: self.job(job_id), lambda job: job["state"] == state)

    async def job(self, job_id: UUID) -> dict[str, Any]:
        """Read a job."""
        answer = await self.http.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


@dataclass
class Platform:
    """A running jobs service, and a broker connection on which the test replaces all other services."""

    settings: Settings
    sessions: async_sessionmaker[AsyncSession]
    broker: Broker
    workers: Workers
    person: Callable[..., Person]

    async def scalar(self, statement: Executable) -> Any:
        """The first value of a statement's result."""
        async with self.sessions() as session:
            return await session.scalar(statement)

    async def transcribe(self, person: Person, job_id: UUID, *said: str, attempt: int = 1) -> None:
        """Replace transcribers and metadata for a job with these chunk texts, up to its completion."""
        await person.reached(job_id, "processing")
        for chunk, text in enumerate(said):
            await self.broker.publish(chunk_planned(job_id, chunk, attempt=attempt))
            await self.broker.publish(chunk_transcribed(job_id, chunk, attempt=attempt, text=text))
        await self.broker.publish(audio_planned(job_id, len(said), attempt=attempt))
        await self.complete(person, job_id, attempt=attempt)

    async def complete(self, person: Person, job_id: UUID, *, attempt: int = 1, keywords: Sequence[str] = ()) -> None:
        """Assemble and enrich as soon as the assembly is sent."""

        await eventually(lambda: any(work.attempt == attempt for work in self.workers.of(job_id, AssembleWork)))
        await self.broker.publish(transcript_ready(job_id, attempt=attempt))
        await person.reached(job_id, "enriching")
        await self.broker.publish(metadata_enriched(job_id, attempt=attempt, keywords=list(keywords)))
        await person.reached(job_id, "completed")
