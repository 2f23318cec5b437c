"""Enrichment from the pending row to metadata.json, the result and the event."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.events import JobTranscribed, MetadataEnriched, MetadataFailed, keys
from common.storage import ObjectMissing, ObjectStore
from common.testing.events import job_transcribed
from common.testing.messages import assert_published, published
from metadata.loops.enrichment import EnrichmentWorker
from metadata.repository import EnrichmentRepository
from metadata.service import EnrichmentService
from metadata.settings import Settings
from metadata.tables import Enrichment, Outbox
from native.testing import ObjectStoreServer

pytestmark = pytest.mark.integration

Sessions = async_sessionmaker[AsyncSession]
TEXT = "The printing press changed Europe. The printing press was built in Mainz by Gutenberg."


def a_transcript(**fields: Any) -> bytes:
    """A stored transcript.json."""
    transcript = {
        "version": 1,
        "language": "en",
        "task": "transcribe",
        "duration_seconds": 20.0,
        "speech_seconds": 10.0,
        "text": TEXT,
        "segments": [{"id": 0, "start": 0.0, "end": 10.0, "text": TEXT}],
    }
    return json.dumps(transcript | fields).encode()


async def put_transcript(store: ObjectStore, event: JobTranscribed, data: bytes | None = None) -> None:
    """Store the transcript of the event."""
    await store.put(event.transcript_key, data or a_transcript(), "application/json")


async def row_of(sessions: Sessions, job_id: UUID) -> Enrichment:
    """The job's row."""
    async with sessions() as session:
        return (await session.scalars(select(Enrichment).where(Enrichment.job_id == job_id))).one()


@pytest.fixture
def worker(engine: AsyncEngine, sessions: Sessions, store: ObjectStore, settings: Settings) -> EnrichmentWorker:
    return EnrichmentWorker(engine, sessions, store, settings)


async def ask(sessions: Sessions, event: JobTranscribed) -> bool:
    async with sessions.begin() as session:
        return await EnrichmentService(session).request(event)


async def requested(sessions: Sessions, store: ObjectStore) -> JobTranscribed:
    """Store a transcript and request its enrichment."""
    event = job_transcribed()
    await put_transcript(store, event)
    await ask(sessions, event)
    return event


async def make_due(sessions: Sessions) -> None:
    """Make the next try due."""
    async with sessions.begin() as session:
        await session.execute(update(Enrichment).values(available_at=func.now()))


async def test_transcript_becomes_metadata_row_and_event(
    worker: EnrichmentWorker, sessions: Sessions, store: ObjectStore
) -> None:
    event = await requested(sessions, store)
    assert await worker.step()

    row = await row_of(sessions, event.job_id)
    assert (row.state, row.words, row.segments, row.words_per_minute) == ("done", 14, 1, 84.0)
    stored = json.loads(await store.get(keys.metadata(event.job_id)))
    assert stored["keywords"] == row.keywords
    assert stored["keywords"][0]["keyword"] == "printing press"
    fields = {"job_id": event.job_id, "attempt": 1, "metadata_key": keys.metadata(event.job_id)}
    await assert_published(sessions, Outbox, MetadataEnriched, **fields)
    assert not await worker.step()


async def test_stored_metadata_depends_on_the_transcript_alone(
    worker: EnrichmentWorker, sessions: Sessions, store: ObjectStore
) -> None:
    events = [job_transcribed(), job_transcribed()]
    for event in events:
        await put_transcript(store, event)
        await ask(sessions, event)
        await worker.step()
    first, second = [await store.get(keys.metadata(event.job_id)) for event in events]
    assert first == second


@pytest.mark.parametrize("data", [b"{", a_transcript(segments="none")])
async def test_unreadable_transcript_fails_at_once_with_a_reason(
    worker: EnrichmentWorker, sessions: Sessions, store: ObjectStore, data: bytes
) -> None:
    event = job_transcribed()
    await put_transcript(store, event, data)
    await ask(sessions, event)
    await worker.step()
    assert (await row_of(sessions, event.job_id)).state == "failed"
    assert "cannot be read" in (await assert_published(sessions, Outbox, MetadataFailed)).reason


async def test_missing_transcript_fails_at_once(worker: EnrichmentWorker, sessions: Sessions) -> None:
    event = job_transcribed()
    await ask(sessions, event)
    await worker.step()
    assert (await row_of(sessions, event.job_id)).state == "failed"


async def test_store_outage_is_retried_and_then_fails(
    sessions: Sessions, engine: AsyncEngine, settings: Settings, storage_settings: object
) -> None:
    broken = ObjectStore(settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:1"}))
    worker = EnrichmentWorker(engine, sessions, broken, settings.model_copy(update={"enrichment_tries": 2}))
    event = job_transcribed()
    await ask(sessions, event)
    await worker.step()
    row = await row_of(sessions, event.job_id)
    assert (row.state, row.tries) == ("pending", 1)
    assert await published(sessions, Outbox) == []

    await make_due(sessions)
    await worker.step()
    assert (await row_of(sessions, event.job_id)).state == "failed"
    await assert_published(sessions, Outbox, MetadataFailed)
    await broken.close()


async def test_work_survives_a_store_outage(
    worker: EnrichmentWorker, sessions: Sessions, store: ObjectStore, s3_server: ObjectStoreServer
) -> None:
    event = await requested(sessions, store)
    await s3_server.kill()
    await worker.step()
    assert (await row_of(sessions, event.job_id)).state == "pending"
    await s3_server.start()
    await make_due(sessions)
    await worker.step()
    assert (await row_of(sessions, event.job_id)).state == "done"


async def test_two_workers_never_take_the_same_transcript(sessions: Sessions) -> None:
    await ask(sessions, job_transcribed())
    lease = timedelta(minutes=1)
    async with sessions.begin() as first, sessions.begin() as second:
        claims = [await EnrichmentRepository(session).claim(lease) for session in (first, second)]
    assert [claim is not None for claim in claims] == [True, False]


async def test_worker_with_an_expired_lease_changes_nothing(
    worker: EnrichmentWorker, sessions: Sessions, store: ObjectStore
) -> None:
    event = await requested(sessions, store)
    async with sessions.begin() as session:
        late = await EnrichmentRepository(session).claim(timedelta(0))
    assert late is not None
    assert await worker.step()  # the lease has expired, so another worker may lease the row
    async with sessions.begin() as session:
        assert not await EnrichmentService(session).give_up(late, "too late")
    assert (await row_of(sessions, event.job_id)).state == "done"
    assert len(await published(sessions, Outbox)) == 1


async def test_transcript_that_kills_its_worker_fails(
    worker: EnrichmentWorker, sessions: Sessions, settings: Settings
) -> None:
    event = job_transcribed()
    await ask(sessions, event)
    for _ in range(settings.enrichment_tries):
        async with sessions.begin() as session:
            assert await EnrichmentRepository(session).claim(timedelta(0))
    await worker.step()
    row = await row_of(sessions, event.job_id)
    assert row.state == "failed"
    assert "stopped each time" in (row.reason or "")


async def test_shutdown_counts_no_try_and_releases_the_claim(
    engine: AsyncEngine, sessions: Sessions, store: ObjectStore, settings: Settings
) -> None:
    reading = asyncio.Event()

    class SlowStore(ObjectStore):
        async def get(self, key: str) -> bytes:
            reading.set()
            await asyncio.Event().wait()
            return b""

    slow = SlowStore(settings)
    event = await requested(sessions, store)
    task = asyncio.create_task(EnrichmentWorker(engine, sessions, slow, settings).run())
    await asyncio.wait_for(reading.wait(), 10)
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert task.cancelled()
    assert (await row_of(sessions, event.job_id)).tries == 0
    assert await EnrichmentWorker(engine, sessions, store, settings).step()
    await slow.close()


async def test_later_attempt_replaces_an_earlier_one_only(
    worker: EnrichmentWorker, sessions: Sessions, store: ObjectStore
) -> None:
    first = job_transcribed()
    second = job_transcribed(first.job_id, attempt=2, owner_id=first.owner_id)
    await put_transcript(store, second, a_transcript(text="Something else entirely."))
    assert await ask(sessions, second)
    assert not await ask(sessions, first)
    assert not await ask(sessions, second.model_copy())
    await worker.step()
    row = await row_of(sessions, first.job_id)
    assert (row.attempt, row.words) == (2, 3)


async def test_deleted_job_stays_deleted_when_messages_arrive_late(
    worker: EnrichmentWorker, sessions: Sessions, store: ObjectStore
) -> None:
    event = await requested(sessions, store)
    await worker.step()
    async with sessions.begin() as session:
        await EnrichmentRepository(session).put_deleted(event.job_id, event.owner_id)
    row = await row_of(sessions, event.job_id)
    assert (row.state, row.keywords, row.words, row.transcript_key) == ("deleted", None, None, None)
    assert not await ask(sessions, job_transcribed(event.job_id, attempt=2))

    unheard = job_transcribed()
    async with sessions.begin() as session:
        await EnrichmentRepository(session).put_deleted(unheard.job_id, unheard.owner_id)
    assert not await ask(sessions, unheard)


async def test_job_deleted_in_the_middle_leaves_no_object(
    engine: AsyncEngine, sessions: Sessions, store: ObjectStore, settings: Settings
) -> None:
    event = await requested(sessions, store)

    class DeletingStore(ObjectStore):
        async def get(self, key: str) -> bytes:
            async with sessions.begin() as session:
                await EnrichmentRepository(session).put_deleted(event.job_id, event.owner_id)
            return await super().get(key)

    deleting = DeletingStore(settings)
    await EnrichmentWorker(engine, sessions, deleting, settings).step()
    await deleting.close()
    with pytest.raises(ObjectMissing):
        await store.get(keys.metadata(event.job_id))
    assert await published(sessions, Outbox) == []


async def test_old_tombstones_are_deleted(sessions: Sessions) -> None:
    event = job_transcribed()
    async with sessions.begin() as session:
        repository = EnrichmentRepository(session)
        await repository.put_deleted(event.job_id, event.owner_id)
        await repository.prune_deleted(timedelta(days=1))
    assert (await row_of(sessions, event.job_id)).state == "deleted"
    async with sessions.begin() as session:
        await session.execute(update(Enrichment).values(finished_at=func.now() - timedelta(days=2)))
        await EnrichmentRepository(session).prune_deleted(timedelta(days=1))
        assert await session.get(Enrichment, event.job_id) is None
