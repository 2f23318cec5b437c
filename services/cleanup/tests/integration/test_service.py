"""The whole service: consumed and published events, readiness."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cleanup.app import create_app
from cleanup.settings import Settings
from cleanup.tables import Inbox, KnownJob
from common.events import (
    Event,
    JobCancelled,
    JobCompleted,
    JobDeleted,
    JobExpired,
    JobFailed,
    keys,
)
from common.messaging import Broker
from common.storage import ObjectStore
from common.testing import eventually
from common.testing.events import job_created
from common.testing.messages import received_by

pytestmark = pytest.mark.integration

OWNER = uuid4()


@dataclass
class Running:
    """The service, a publisher and a consumer of its events."""

    app: FastAPI
    broker: Broker
    sessions: async_sessionmaker[AsyncSession]
    received: asyncio.Queue[Event]

    async def state(self, job_id: UUID) -> str | None:
        """The state of a job in the service."""
        async with self.sessions() as session:
            row = await session.get(KnownJob, job_id)
            return None if row is None else row.state


@pytest.fixture
async def running(connected_settings: Settings, sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[Running]:
    app = create_app(
        connected_settings.model_copy(update={"cleanup_interval_seconds": 0.2, "cleanup_poll_seconds": 0.2})
    )
    async with app.router.lifespan_context(app), received_by("jobs", connected_settings, sessions, Inbox) as jobs:
        broker, received = jobs
        yield Running(app, broker, sessions, received)


def failed(job_id: UUID, attempt: int, at: datetime) -> JobFailed:
    """An attempt that failed at a time."""
    return JobFailed(
        job_id=job_id, owner_id=OWNER, attempt=attempt, reason_code="no_audio", reason="No audio.", occurred_at=at
    )


async def test_job_is_known_from_its_creation_to_its_deletion(running: Running, store: ObjectStore) -> None:
    job_id = uuid4()
    await store.put(keys.source(job_id), b"x")

    async def is_state(state: str) -> bool:
        return await running.state(job_id) == state

    await running.broker.publish(job_created(job_id, owner_id=OWNER))
    await eventually(lambda: is_state("live"))
    await running.broker.publish(JobCompleted(job_id=job_id, owner_id=OWNER, attempt=1))
    await eventually(lambda: is_state("completed"))
    await running.broker.publish(JobDeleted(job_id=job_id, owner_id=OWNER))
    await eventually(lambda: is_state("deleted"))

    async def gone() -> bool:
        return [item async for item in store.list(keys.upload_prefix(job_id))] == []

    await eventually(gone)


async def test_events_in_any_order_end_in_the_same_state(running: Running) -> None:
    late_creation, outdated, deleted = uuid4(), uuid4(), uuid4()
    now = datetime.now(UTC)
    for event in (
        JobCancelled(job_id=late_creation, owner_id=OWNER, attempt=0),
        job_created(late_creation, owner_id=OWNER),
        JobCompleted(job_id=outdated, owner_id=OWNER, attempt=2),
        failed(outdated, 1, now),
        JobDeleted(job_id=deleted, owner_id=OWNER),
        JobCompleted(job_id=deleted, owner_id=OWNER, attempt=1),
        job_created(deleted, owner_id=OWNER),
    ):
        await running.broker.publish(event)

    async def settled() -> bool:
        states = [await running.state(job_id) for job_id in (late_creation, outdated, deleted)]
        return states == ["cancelled", "completed", "deleted"]

    await eventually(settled)


async def test_expired_job_is_published(running: Running) -> None:
    job_id = uuid4()
    finished = datetime.now(UTC) - timedelta(days=31)
    await running.broker.publish(job_created(job_id, owner_id=OWNER))
    await running.broker.publish(failed(job_id, 1, finished))
    event = await asyncio.wait_for(running.received.get(), 15)
    assert isinstance(event, JobExpired)
    assert (event.job_id, event.owner_id, event.finished_at) == (job_id, OWNER, finished)


async def test_service_is_ready_when_everything_answers(running: Running) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(running.app), base_url="http://cleanup") as client:
        await eventually(lambda: client.get("/health/ready"), lambda answer: answer.status_code == 200)
        checks = (await client.get("/health/ready")).json()["checks"]
    assert set(checks) == {"background", "broker", "database", "events", "store"}
