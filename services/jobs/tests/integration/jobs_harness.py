"""Test support: users with tokens, new jobs, and the events of the other services."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.events import (
    BY_ROUTING_KEY,
    COMMANDS,
    AssembleWork,
    AudioPlanned,
    ChunkPlanned,
    ChunkTranscribed,
    ChunkWork,
    Command,
    Event,
    JobOptions,
    MetadataEnriched,
    PlanWork,
    TextSegment,
    TranscriptReady,
    keys,
)
from common.messaging import Broker, Delivery, WorkConsumer
from common.web.identity import Identity
from jobs.schemas.creation import NewJob
from jobs.settings import Settings
from jobs.tables import Job, Outbox


async def until(condition: Callable[[], Awaitable[Any]], timeout: float = 60.0) -> Any:
    """Poll until the condition is truthy and return it; fails after the timeout in seconds."""
    deadline = time.monotonic() + timeout
    while not (value := await condition()):
        assert time.monotonic() < deadline, "the condition did not become true in time"
        await asyncio.sleep(0.02)
    return value


class Issuer:
    """Signs tokens as auth does, and serves the key that verifies them over HTTP."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        x = base64.urlsafe_b64encode(self._key.public_key().public_bytes_raw()).decode().rstrip("=")
        document = json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x}]}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

            def log_message(self, *args: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.jwks_url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def token(self, user_id: UUID, *, role: str = "user", lifetime: int = 600) -> str:
        """Return an access token for a user."""
        now = int(time.time())
        claims = {
            "iss": "verbatim",
            "aud": "verbatim",
            "sub": str(user_id),
            "name": f"user-{user_id.hex[:6]}",
            "role": role,
            "iat": now,
            "exp": now + lifetime,
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": "k1", "typ": "at+jwt"})

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


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


def chunk_planned(job_id: UUID, chunk: int, *, attempt: int = 1, seconds: float = 60.0) -> ChunkPlanned:
    """Return the event of a transcriber that stored a chunk's audio."""
    return ChunkPlanned(
        job_id=job_id,
        attempt=attempt,
        chunk=chunk,
        start_seconds=chunk * seconds,
        end_seconds=(chunk + 1) * seconds,
        speech_seconds=seconds,
        windows=2,
        language="en",
    )


def audio_planned(job_id: UUID, chunks: int, *, attempt: int = 1, seconds: float = 60.0) -> AudioPlanned:
    """Return the event of a transcriber at the end of the plan."""
    return AudioPlanned(
        job_id=job_id,
        attempt=attempt,
        chunks=chunks,
        duration_seconds=chunks * seconds + 5,
        speech_seconds=chunks * seconds,
        language="en" if chunks else None,
        plan_key=keys.plan(job_id, attempt),
        peaks_key=keys.peaks(job_id, attempt),
    )


def chunk_transcribed(
    job_id: UUID, chunk: int, *, attempt: int = 1, seconds: float = 60.0, said: str = ""
) -> ChunkTranscribed:
    """Return the event of a transcriber that stored a chunk's result."""
    said = said or f"text of chunk {chunk}"
    begins = chunk * seconds
    return ChunkTranscribed(
        job_id=job_id,
        attempt=attempt,
        chunk=chunk,
        result_key=keys.result(job_id, attempt, chunk),
        result_sha256="cd" * 32,
        text=said,
        segments=[TextSegment(start=begins + 1, end=begins + 5, text=said)],
        audio_seconds=seconds,
        decode_seconds=1.5,
        worker="w1",
    )


def transcript_ready(job_id: UUID, *, attempt: int = 1, words: int = 250) -> TranscriptReady:
    """Return the event of a transcriber that stored all formats."""
    return TranscriptReady(
        job_id=job_id,
        attempt=attempt,
        formats=["json", "srt", "vtt", "txt", "tsv"],
        transcript_sha256="ef" * 32,
        language="en",
        duration_seconds=125.0,
        speech_seconds=120.0,
        segments=20,
        words=words,
    )


async def read_job(sessions: async_sessionmaker[AsyncSession], job_id: UUID) -> Job:
    """Return the committed row of a job."""
    async with sessions() as session:
        job = await session.get(Job, job_id)
    assert job is not None
    return job


async def sent(sessions: async_sessionmaker[AsyncSession], *kinds: type[Event] | type[Command]) -> list[Any]:
    """Return the messages of these kinds (default: all) that were written to the outbox, in order."""
    by_type: dict[str, type[Event] | type[Command]] = {**BY_ROUTING_KEY, **{kind.name: kind for kind in COMMANDS}}
    async with sessions() as session:
        rows = (await session.scalars(select(Outbox).order_by(Outbox.seq))).all()
    messages = [by_type[row.message_type].model_validate_json(row.body) for row in rows]
    return [message for message in messages if not kinds or isinstance(message, kinds)]


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

        async def there() -> dict[str, Any] | None:
            job = await self.job(job_id)
            return job if job["state"] == state else None

        job: dict[str, Any] = await until(there)
        return job

    async def failed(self, job_id: UUID) -> dict[str, Any] | None:
        """Return the job if it has failed."""
        job = await self.job(job_id)
        return job if job["state"] == "failed" else None

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

    async def transcribe(self, person: Person, job_id: UUID, *said: str, attempt: int = 1) -> None:
        """Replace transcribers and metadata for a job with these chunk texts, up to its completion."""
        await person.reached(job_id, "processing")
        for chunk, text in enumerate(said):
            await self.broker.publish(chunk_planned(job_id, chunk, attempt=attempt))
            await self.broker.publish(chunk_transcribed(job_id, chunk, attempt=attempt, said=text))
        await self.broker.publish(audio_planned(job_id, len(said), attempt=attempt))
        await self.complete(person, job_id, attempt=attempt)

    async def complete(self, person: Person, job_id: UUID, *, attempt: int = 1, keywords: Sequence[str] = ()) -> None:
        """Assemble and enrich as soon as the assembly is sent."""

        async def ordered() -> bool:
            return any(work.attempt == attempt for work in self.workers.of(job_id, AssembleWork))

        await until(ordered)
        await self.broker.publish(transcript_ready(job_id, attempt=attempt))
        await person.reached(job_id, "enriching")
        enriched = MetadataEnriched(
            job_id=job_id, attempt=attempt, metadata_key=keys.metadata(job_id), keywords=list(keywords)
        )
        await self.broker.publish(enriched)
        await person.reached(job_id, "completed")
