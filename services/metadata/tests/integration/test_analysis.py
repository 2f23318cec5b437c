"""Analysis from the request to the row and metadata.json, with a real client and a server with the same API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.events import JobDeleted, UserDeleted, keys
from common.storage import ObjectStore
from common.testing import eventually
from common.testing.events import job_created, job_transcribed
from common.web.errors import QuotaExceeded
from common.web.identity import Identity
from metadata.analysis.extractor import Extractor
from metadata.consumers import on_job_created, on_job_deleted, on_user_deleted
from metadata.errors import AnalysisNotConfigured, JobNotFound, TranscriptNotReady
from metadata.loops.analysis import AnalysisWorker
from metadata.loops.enrichment import EnrichmentWorker
from metadata.repository import AnalysisRepository
from metadata.schemas import AnalysisState
from metadata.service import AnalysisService, EnrichmentService
from metadata.settings import Settings
from metadata.tables import Analysis, AnalysisDay
from support.chat_server import INSIGHT, ChatServer, Said

pytestmark = pytest.mark.integration

Sessions = async_sessionmaker[AsyncSession]
TEXT = "The harbour is quiet today. Ann will paint the boat until Friday."


def reader(user_id: UUID, role: str = "user") -> Identity:
    return Identity(user_id=user_id, username="ann", role="admin" if role == "admin" else "user", token="x")


class Desk:
    """The services and workers with one database and one store, without running loops."""

    def __init__(self, engine: AsyncEngine, sessions: Sessions, store: ObjectStore, settings: Settings) -> None:
        self.engine, self.sessions, self.store, self.settings = engine, sessions, store, settings
        self.owner = uuid4()

    async def transcribed(self, job_id: UUID | None = None, attempt: int = 1) -> UUID:
        """A job with an enriched transcript."""
        job_id = job_id or uuid4()
        key = keys.transcript(job_id, attempt, "json")
        transcript = {
            "language": "en",
            "duration_seconds": 8,
            "speech_seconds": 6,
            "text": TEXT,
            "segments": [{"start": 0, "end": 6, "text": TEXT}],
        }
        await self.store.put(key, json.dumps(transcript).encode(), "application/json")
        event = job_transcribed(job_id, attempt=attempt, owner_id=self.owner, duration_seconds=8, speech_seconds=6)
        async with self.sessions.begin() as session:
            assert await EnrichmentService(session).request(event)
        assert await EnrichmentWorker(self.engine, self.sessions, self.store, self.settings).step()
        return job_id

    async def ask(self, job_id: UUID, who: Identity | None = None, allowed: int = 0, **choices: bool) -> AnalysisState:
        """The response of POST /jobs/{id}/analyze."""
        wanted = {"configured": True, "again": False} | choices
        async with self.sessions.begin() as session:
            return await AnalysisService(session).request(job_id, who or reader(self.owner), allowed=allowed, **wanted)

    async def shown(self, job_id: UUID) -> AnalysisState | None:
        """The analysis in the response of GET /metadata/{id}."""
        async with self.sessions.begin() as session:
            return (await EnrichmentService(session).get(job_id, reader(self.owner))).analysis

    async def stored(self, job_id: UUID) -> dict[str, Any]:
        """The content of metadata.json."""
        content: dict[str, Any] = json.loads(await self.store.get(keys.metadata(job_id)))
        return content

    async def row(self, job_id: UUID) -> Analysis:
        """The analysis' row."""
        async with self.sessions() as session:
            return (await session.scalars(select(Analysis).where(Analysis.job_id == job_id))).one()

    async def make_due(self) -> None:
        """Make the next try due."""
        async with self.sessions.begin() as session:
            await session.execute(update(Analysis).values(available_at=func.now()))

    @asynccontextmanager
    async def worker(self, server: ChatServer, **changes: Any) -> AsyncIterator[AnalysisWorker]:
        """A worker whose language model is the given server."""
        chosen = {"openai_base_url": server.url, "openai_retries": 0, "openai_timeout_seconds": 10.0}
        settings = self.settings.model_copy(update=chosen | changes)
        extractor = Extractor(settings)
        with server.running():
            yield AnalysisWorker(self.engine, self.sessions, self.store, settings, extractor)
        await extractor.close()


@pytest.fixture
def desk(engine: AsyncEngine, sessions: Sessions, store: ObjectStore, settings: Settings) -> Desk:
    with_key = Settings(**settings.model_dump() | {"openai_api_key": "sk-test", "openai_model": "gpt-test"})
    return Desk(engine, sessions, store, with_key)


async def test_analysis_is_shown_and_stored_as_machine_made(desk: Desk) -> None:
    job_id = await desk.transcribed()
    before = await desk.stored(job_id)
    asked = await desk.ask(job_id)
    assert (asked.state, asked.insight, asked.machine_made) == ("pending", None, True)
    assert (await desk.ask(job_id)).requested_at == asked.requested_at
    async with desk.worker(ChatServer()) as worker:
        assert await worker.step()
        assert not await worker.step()

    shown = await desk.shown(job_id)
    assert shown is not None
    assert shown.insight is not None
    assert shown.insight.model_dump() == INSIGHT
    assert (shown.state, shown.model, shown.prompt_version, shown.parts) == ("done", "gpt-test-2026", "1", 1)
    stored = await desk.stored(job_id)
    analysis = stored.pop("analysis")
    assert stored == before
    assert (analysis["insight"], analysis["machine_made"], analysis["model"]) == (INSIGHT, True, "gpt-test-2026")
    assert str(job_id) not in json.dumps(analysis)


async def test_finished_analysis_is_repeated_only_on_request(desk: Desk) -> None:
    job_id = await desk.transcribed()
    await desk.ask(job_id)
    other = json.dumps(INSIGHT | {"summary": "Another view."})
    async with desk.worker(ChatServer(Said(), Said(other))) as worker:
        await worker.step()
        assert (await desk.ask(job_id)).state == "done"
        assert not await worker.step()
        again = await desk.ask(job_id, again=True)
        assert (again.state, again.insight) == ("pending", None)
        await worker.step()
    shown = await desk.shown(job_id)
    assert shown is not None
    assert shown.insight is not None
    assert shown.insight.summary == "Another view."


async def test_administrator_may_request_and_another_user_gets_not_found(desk: Desk) -> None:
    job_id = await desk.transcribed()
    for configured in (True, False):
        for unknown, who in (
            (job_id, reader(uuid4())),
            (uuid4(), reader(desk.owner)),
            (uuid4(), reader(uuid4(), "admin")),
        ):
            with pytest.raises(JobNotFound):
                await desk.ask(unknown, who, configured=configured)
    assert (await desk.ask(job_id, reader(uuid4(), "admin"))).state == "pending"
    assert (await desk.row(job_id)).owner_id == desk.owner


async def test_without_a_language_model_the_error_names_the_setting(desk: Desk) -> None:
    job_id = await desk.transcribed()
    with pytest.raises(AnalysisNotConfigured, match="OPENAI_API_KEY"):
        await desk.ask(job_id, configured=False)


async def test_job_without_a_transcript_is_not_ready_rather_than_unknown(desk: Desk) -> None:
    event = job_created(owner_id=desk.owner)
    async with desk.sessions.begin() as session:
        await on_job_created(event, session, None)
        await on_job_created(event, session, None)
    with pytest.raises(TranscriptNotReady):
        await desk.ask(event.job_id)
    await desk.transcribed(event.job_id)
    async with desk.sessions.begin() as session:
        await on_job_created(event, session, None)  # late event
    assert (await desk.ask(event.job_id)).state == "pending"


@pytest.mark.parametrize(
    ("answer", "reason_code"),
    [
        (Said("no JSON at all"), "answer_not_usable"),
        (Said(refusal="No."), "analysis_refused"),
        (Said(status=401), "request_not_accepted"),
    ],
)
async def test_failure_is_shown_with_its_reason_and_may_be_repeated(desk: Desk, answer: Said, reason_code: str) -> None:
    job_id = await desk.transcribed()
    before = await desk.stored(job_id)
    await desk.ask(job_id)
    async with desk.worker(ChatServer(answer)) as worker:
        await worker.step()
    shown = await desk.shown(job_id)
    assert shown is not None
    assert (shown.state, shown.reason_code, shown.insight) == ("failed", reason_code, None)
    assert shown.reason
    assert await desk.stored(job_id) == before
    asked = await desk.ask(job_id)
    assert (asked.state, asked.reason_code, asked.reason) == ("pending", None, None)
    async with desk.worker(ChatServer()) as worker:
        await worker.step()
    assert (await desk.row(job_id)).state == "done"


@pytest.mark.parametrize("trouble", [Said(status=500), Said(status=429), Said(seconds=1.0)])
async def test_transient_error_is_retried_and_then_fails(desk: Desk, trouble: Said) -> None:
    job_id = await desk.transcribed()
    await desk.ask(job_id)
    async with desk.worker(ChatServer(trouble), enrichment_tries=2, openai_timeout_seconds=0.3) as worker:
        await worker.step()
        row = await desk.row(job_id)
        assert (row.state, row.tries) == ("pending", 1)
        await desk.make_due()
        await worker.step()
    row = await desk.row(job_id)
    assert (row.state, row.reason_code) == ("failed", "model_unavailable")


async def test_work_that_lasts_longer_than_the_lease_stays_with_its_worker(desk: Desk) -> None:
    job_id = await desk.transcribed()
    await desk.ask(job_id)
    server = ChatServer(Said(seconds=1.5))
    async with desk.worker(server, enrichment_lease_seconds=0.6) as worker:
        working = asyncio.create_task(worker.step())
        await eventually(lambda: server.requests)
        await asyncio.sleep(0.9)  # longer than the lease, shorter than the response takes
        async with desk.sessions.begin() as session:
            assert await AnalysisRepository(session).claim(timedelta(minutes=1)) is None
        assert await working
    assert (await desk.row(job_id)).state == "done"


async def test_later_transcript_and_deletion_remove_the_analysis(desk: Desk) -> None:
    job_id = await desk.transcribed()
    await desk.ask(job_id)
    server = ChatServer()
    async with desk.worker(server) as worker:
        await worker.step()
        await desk.transcribed(job_id, attempt=2)
        assert await desk.shown(job_id) is None
        assert "analysis" not in await desk.stored(job_id)

        await desk.ask(job_id)
        async with desk.sessions.begin() as session:
            late = await AnalysisRepository(session).claim(timedelta(0))
            await on_job_deleted(JobDeleted(job_id=job_id, owner_id=desk.owner), session, None)
        assert late is not None
        assert not await worker.step()
        async with desk.sessions.begin() as session:
            assert not await AnalysisService(session).give_up(late, "x", "too late")
    with pytest.raises(JobNotFound):
        await desk.ask(job_id)


async def test_job_deleted_during_the_analysis_gets_no_metadata(desk: Desk) -> None:
    job_id = await desk.transcribed()
    await desk.ask(job_id)
    server = ChatServer(Said(seconds=0.5))
    async with desk.worker(server) as worker:
        working = asyncio.create_task(worker.step())
        await eventually(lambda: server.requests)
        await desk.store.delete(keys.metadata(job_id))
        async with desk.sessions.begin() as session:
            await on_job_deleted(JobDeleted(job_id=job_id, owner_id=desk.owner), session, None)
        await working
    assert [key async for key in desk.store.list(keys.metadata(job_id))] == []


async def test_pending_analyses_fail_when_the_key_is_removed(desk: Desk) -> None:
    job_id = await desk.transcribed()
    await desk.ask(job_id)
    async with desk.sessions.begin() as session:
        await AnalysisService(session).end_unconfigured()
    shown = await desk.shown(job_id)
    assert shown is not None
    assert (shown.state, shown.reason_code) == ("failed", "not_configured")


async def test_analyses_are_counted_by_user_and_day_including_repeated_ones(desk: Desk) -> None:
    job_id = await desk.transcribed()
    async with desk.worker(ChatServer()) as worker:
        for _ in range(2):
            await desk.ask(job_id, again=True, allowed=2)
            assert await worker.step()
    assert (await desk.ask(job_id, allowed=2)).state == "done", "reading what there is costs nothing"
    with pytest.raises(QuotaExceeded) as refused:
        await desk.ask(job_id, again=True, allowed=2)
    said = refused.value.extensions
    assert (said["limit"], said["used"], said["allowed"]) == ("analyses_per_day", 2, 2)
    assert said["resets_at"].time() == time()
    assert int(refused.value.headers["Retry-After"]) > 0
    with pytest.raises(QuotaExceeded):
        await desk.ask(await desk.transcribed(), allowed=2)
    assert (await desk.ask(job_id, reader(uuid4(), "admin"), again=True, allowed=2)).state == "pending", "another user"
    async with desk.sessions.begin() as session:
        await session.execute(update(AnalysisDay).values(day=AnalysisDay.day - 1))
    assert (await desk.ask(await desk.transcribed(), allowed=2)).state == "pending"


async def test_deleted_user_leaves_no_count_of_analyses(desk: Desk) -> None:
    other = uuid4()
    for user_id in (desk.owner, other):
        await desk.ask(await desk.transcribed(), reader(user_id, "admin"))
    event = UserDeleted(user_id=desk.owner, deleted_by=other)
    async with desk.sessions.begin() as session:
        await on_user_deleted(event, session, None)
        await on_user_deleted(event, session, None)
        assert list(await session.scalars(select(AnalysisDay.user_id))) == [other]


def test_administrators_are_exempt_by_default(settings: Settings) -> None:
    limited = settings.model_copy(update={"analyses_per_day": 5})
    assert (limited.analyses_allowed(is_admin=False), limited.analyses_allowed(is_admin=True)) == (5, 0)
    assert limited.model_copy(update={"analyses_exempt_admins": False}).analyses_allowed(is_admin=True) == 5
