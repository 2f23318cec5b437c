"""The whole service: consumed and published events, API, readiness."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.events import Event, JobDeleted, JobTranscribed, MetadataEnriched, keys
from common.messaging import Broker
from common.storage import ObjectStore
from common.testing import Issuer, eventually
from common.testing.events import job_transcribed
from common.testing.messages import received_by
from metadata.app import create_app
from metadata.settings import Settings
from metadata.tables import Inbox
from support.chat_server import INSIGHT, ChatServer

pytestmark = pytest.mark.integration

Sessions = async_sessionmaker[AsyncSession]
TEXT = "The harbour is quiet. Ships leave the harbour at dawn, and the harbour sleeps again."


@dataclass
class Running:
    """The service, a publisher and a consumer of its events."""

    app: FastAPI
    client: httpx.AsyncClient
    broker: Broker
    store: ObjectStore
    received: asyncio.Queue[Event]
    issuer: Issuer

    async def get(self, job_id: UUID, bearer: str | None) -> httpx.Response:
        """Request the metadata of a job."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return await self.client.get(f"/metadata/{job_id}", headers=headers)

    async def analyze(self, job_id: UUID, bearer: str) -> httpx.Response:
        """Request the analysis of a job's transcript."""
        return await self.client.post(f"/jobs/{job_id}/analyze", headers={"Authorization": f"Bearer {bearer}"})


@pytest.fixture
def language_model() -> Iterator[ChatServer]:
    with ChatServer().running() as server:
        yield server


@pytest.fixture
def settings_with_key(connected_settings: Settings, language_model: ChatServer) -> Settings:
    key = {"openai_api_key": SecretStr("sk-test"), "openai_base_url": language_model.url}
    return connected_settings.model_copy(update=key)


@pytest.fixture
async def running(
    settings_with_key: Settings, sessions: Sessions, store: ObjectStore, issuer: Issuer
) -> AsyncIterator[Running]:
    async with run(settings_with_key, sessions, store, issuer) as service:
        yield service


@pytest.fixture
async def keyless(
    connected_settings: Settings, sessions: Sessions, store: ObjectStore, issuer: Issuer
) -> AsyncIterator[Running]:
    async with run(connected_settings, sessions, store, issuer) as service:
        yield service


@asynccontextmanager
async def run(settings: Settings, sessions: Sessions, store: ObjectStore, issuer: Issuer) -> AsyncIterator[Running]:
    """A running service with its publisher and consumer."""
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        received_by("jobs", settings, sessions, Inbox) as (broker, received),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metadata") as client,
    ):
        yield Running(app, client, broker, store, received, issuer)


async def a_transcribed_job(running: Running) -> JobTranscribed:
    """Store a transcript and publish its event."""
    event = job_transcribed(language=None, duration_seconds=8, speech_seconds=6, words=15)
    transcript = {
        "language": "en",
        "duration_seconds": 8,
        "speech_seconds": 6,
        "text": TEXT,
        "segments": [
            {"start": 0, "end": 4.5, "text": TEXT, "language": "en"},
            {"start": 4.5, "end": 6, "text": "Ja.", "language": "de"},
        ],
    }
    await running.store.put(event.transcript_key, json.dumps(transcript).encode(), "application/json")
    await running.broker.publish(event)
    return event


async def test_transcribed_job_is_enriched_published_shown_and_deleted(running: Running) -> None:
    event = await a_transcribed_job(running)
    enriched = await asyncio.wait_for(running.received.get(), 15)
    assert isinstance(enriched, MetadataEnriched)
    assert (enriched.job_id, enriched.attempt) == (event.job_id, 1)
    assert enriched.correlation_id == event.correlation_id
    assert enriched.metadata_key == keys.metadata(event.job_id)

    answer = await running.get(event.job_id, running.issuer.token(event.owner_id))
    assert answer.status_code == 200
    body = answer.json()
    assert body["job_id"] == str(event.job_id)
    assert body["words_per_minute"] == 150.0
    assert body["speech_ratio"] == 0.75
    assert (body["languages"], body["language_seconds"]) == (["en", "de"], {"de": 1.5, "en": 4.5})
    assert body["analysis"] is None
    assert body["summary"] == [{"start": 0.0, "text": "Ships leave the harbour at dawn, and the harbour sleeps again."}]
    assert body["keywords"][0] == {"keyword": "harbour", "score": 1.0}
    assert (await running.get(event.job_id, running.issuer.token(role="admin"))).json() == body

    await running.broker.publish(JobDeleted(job_id=event.job_id, owner_id=event.owner_id))
    await eventually(
        lambda: running.get(event.job_id, running.issuer.token(event.owner_id)),
        lambda answer: answer.status_code == 404,
    )


async def test_analysis_is_accepted_then_shown_then_returned_at_once(
    running: Running, language_model: ChatServer
) -> None:
    event = await a_transcribed_job(running)
    await asyncio.wait_for(running.received.get(), 15)
    owner = running.issuer.token(event.owner_id)
    assert (await running.get(event.job_id, owner)).json()["analysis"] is None
    accepted = await running.analyze(event.job_id, owner)
    assert (accepted.status_code, accepted.json()["state"]) == (202, "pending")
    await eventually(
        lambda: running.get(event.job_id, owner), lambda answer: answer.json()["analysis"]["state"] == "done"
    )
    answered = await running.analyze(event.job_id, owner)
    assert answered.status_code == 200
    assert answered.json()["insight"] == INSIGHT
    assert answered.json()["machine_made"] is True
    assert len(language_model.requests) == 1
    assert TEXT in language_model.said_to(0)

    stranger = await running.analyze(event.job_id, running.issuer.token())
    assert (stranger.status_code, stranger.json()["code"]) == (404, "job_not_found")


async def test_analysis_without_a_language_model_is_refused(keyless: Running) -> None:
    event = await a_transcribed_job(keyless)
    await asyncio.wait_for(keyless.received.get(), 15)
    refused = await keyless.analyze(event.job_id, keyless.issuer.token(event.owner_id))
    assert (refused.status_code, refused.json()["code"]) == (409, "analysis_not_configured")
    assert (await keyless.get(event.job_id, keyless.issuer.token(event.owner_id))).json()["analysis"] is None


async def test_job_of_another_owner_is_not_found(running: Running) -> None:
    event = await a_transcribed_job(running)
    await asyncio.wait_for(running.received.get(), 15)
    foreign = await running.get(event.job_id, running.issuer.token())
    unknown = await running.get(uuid4(), running.issuer.token())
    for answer in (foreign, unknown):
        assert answer.status_code == 404
        assert answer.json()["code"] == "metadata_not_found"
        assert answer.json()["service"] == "metadata"
    assert foreign.json()["title"] == unknown.json()["title"]


async def test_request_without_a_token_is_refused(running: Running) -> None:
    answer = await running.get(uuid4(), None)
    assert answer.status_code == 401
    assert (await running.client.get("/metadata/not-an-id", headers={"Authorization": "Bearer x"})).status_code == 401


async def test_service_is_ready_when_everything_answers(running: Running) -> None:
    await eventually(lambda: running.client.get("/health/ready"), lambda answer: answer.status_code == 200)
    checks = (await running.client.get("/health/ready")).json()["checks"]
    assert {"background", "broker", "database", "events", "store"} == set(checks)
