"""The administrative API with a real store and database."""

import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from cleanup.app import create_app
from cleanup.files.bundle import Bundle
from cleanup.repository.jobs import JobRepository
from cleanup.settings import Settings
from cleanup.sweeps.rules import Resources
from cleanup.sweeps.sweeper import Sweeper
from cleanup.tables import Outbox, State
from common.events import JobExpired, ResetRequested, keys
from common.storage import ObjectStore
from common.testing import Issuer, eventually
from common.testing.messages import published

pytestmark = pytest.mark.integration

ADMIN, OWNER = uuid4(), uuid4()


@dataclass
class Desk:
    """An administrator's client of a running service, its store and its database."""

    http: httpx.AsyncClient
    store: ObjectStore
    sessions: async_sessionmaker[AsyncSession]

    async def job(self, state: State = State.COMPLETED, **objects: bytes) -> UUID:
        """A job with a recording and a transcript."""
        job_id, now = uuid4(), datetime.now(UTC)
        await self.store.put(keys.source(job_id), b"recording")
        await self.store.put(keys.chunk_audio(job_id, 1, 0), b"audio")
        await self.store.put(keys.result(job_id, 1, 0), b"result")
        for fmt in ("txt", "json"):
            await self.store.put(keys.transcript(job_id, 1, fmt), f"{fmt} of {job_id}".encode())
        async with self.sessions.begin() as session:
            jobs = JobRepository(session)
            await jobs.put_created(job_id, OWNER, now, "../talks/Über: alles.mp3")
            if state is not State.LIVE:
                await jobs.put_ended(job_id, OWNER, 1, state, now)
        return job_id

    async def get(self, path: str, **params: Any) -> Any:
        """Return a JSON answer."""
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def desk(
    connected_settings: Settings, sessions: async_sessionmaker[AsyncSession], store: ObjectStore, issuer: Issuer
) -> AsyncIterator[Desk]:
    app = create_app(connected_settings.model_copy(update={"cleanup_poll_seconds": 600.0}))
    async with app.router.lifespan_context(app):
        admin, transport = issuer.bearer(ADMIN, role="admin"), httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://cleanup", headers=admin) as client:
            yield Desk(client, store, sessions)


async def test_every_route_requires_an_administrator(desk: Desk, issuer: Issuer) -> None:
    routes = [
        ("GET", "/admin/files"),
        ("DELETE", f"/admin/files/uploads/{uuid4()}/source"),
        ("GET", "/admin/storage"),
        ("GET", "/admin/cleanup-config"),
        ("PUT", "/admin/cleanup-config"),
        ("POST", "/admin/cleanup/run"),
        ("GET", "/admin/cleanup/reports"),
        ("POST", "/admin/reset"),
        ("GET", "/admin/download-all"),
    ]
    for method, path in routes:
        as_user = await desk.http.request(method, path, json={}, headers=issuer.bearer())
        assert (as_user.status_code, as_user.json()["code"]) == (403, "admin_only"), path
        as_stranger = await desk.http.request(method, path, json={}, headers={"Authorization": ""})
        assert as_stranger.status_code == 401, path


async def test_pages_list_every_file_by_kind_with_owner(desk: Desk) -> None:
    jobs = [await desk.job() for _ in range(3)]
    await desk.store.put("backup/foreign", b"x")
    seen: list[dict[str, Any]] = []
    page = await desk.get("/admin/files", limit=4)
    while True:
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        page = await desk.get("/admin/files", limit=4, cursor=page["next_cursor"])
    assert len(seen) == 15
    assert [item["key"] for item in seen] == sorted({item["key"] for item in seen})
    assert {(item["owner_id"], item["job_state"]) for item in seen} == {(str(OWNER), "completed")}
    for kind, expected in {"uploads": 3, "chunks": 3, "results": 3, "transcripts": 6}.items():
        items = (await desk.get("/admin/files", kind=kind, limit=1000))["items"]
        assert len(items) == expected, kind
        assert {item["kind"] for item in items} == {kind}
    (upload,) = (await desk.get("/admin/files", kind="uploads", job_id=str(jobs[0])))["items"]
    assert (upload["key"], upload["size"]) == (keys.source(jobs[0]), len(b"recording"))
    assert (await desk.http.get("/admin/files", params={"cursor": "nonsense"})).json()["code"] == "invalid_cursor"


async def test_storage_is_reported_by_kind(desk: Desk) -> None:
    await desk.job()
    await desk.store.put("backup/foreign", b"xyz")
    report = await eventually(lambda: desk.get("/admin/storage"), lambda report: report["objects"] == 6)
    assert report["kinds"]["uploads"] == {"objects": 1, "bytes": 9}
    assert report["kinds"]["transcripts"]["objects"] == 2
    assert report["other"] == {"objects": 1, "bytes": 3}


async def test_a_file_of_a_finished_job_is_deleted_and_one_in_use_is_not(desk: Desk) -> None:
    done, live, unknown = await desk.job(), await desk.job(State.LIVE), uuid4()
    await desk.store.put(keys.source(unknown), b"of a job whose event has not arrived")
    assert (await desk.http.delete(f"/admin/files/{keys.source(done)}")).status_code == 204
    for job_id in (live, unknown):
        refused = await desk.http.delete(f"/admin/files/{keys.source(job_id)}")
        assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    for key in (keys.source(done), "backup/x", "uploads/nobody/source", f"jobs/{done}/a1/none"):
        missing = await desk.http.delete(f"/admin/files/{key}")
        assert (missing.status_code, missing.json()["code"]) == (404, "file_not_found"), key
    left = {item.key async for item in desk.store.list(keys.UPLOADS)}
    assert left == {keys.source(live), keys.source(unknown)}


async def test_a_restarted_job_is_in_use_again(desk: Desk) -> None:
    job_id = await desk.job(State.FAILED)
    async with desk.sessions.begin() as session:
        await JobRepository(session).put_live(job_id, OWNER, 2, datetime.now(UTC))
        # The end of the first attempt, delivered late.
        await JobRepository(session).put_ended(job_id, OWNER, 1, State.FAILED, datetime.now(UTC))
    assert (await desk.http.delete(f"/admin/files/{keys.source(job_id)}")).status_code == 409


async def test_configuration_applies_at_once_on_every_replica_and_is_stored(
    desk: Desk, engine: AsyncEngine, resources: Resources
) -> None:
    before = await desk.get("/admin/cleanup-config")
    assert (before["cleanup_days"], before["changed_by"]) == (30.0, None)
    for bad in ({"cleanup_days": -1}, {"orphan_age_hours": 0}, {"days": 3}, {"cleanup_interval_seconds": "soon"}):
        assert (await desk.http.put("/admin/cleanup-config", json=bad)).status_code == 422, bad

    old = uuid4()
    async with desk.sessions.begin() as session:
        await JobRepository(session).put_ended(old, OWNER, 1, State.COMPLETED, datetime.now(UTC) - timedelta(days=5))
    other_replica = Sweeper(engine, resources)
    await other_replica.sweep()
    answer = await desk.http.put("/admin/cleanup-config", json={"cleanup_days": 2, "cleanup_interval_seconds": 1})
    assert answer.json()["changed_by"] == str(ADMIN)

    async def expired() -> bool:
        await other_replica.sweep()
        return [event.job_id for event in await published(desk.sessions, Outbox, JobExpired)] == [old]

    await eventually(expired)
    assert (await desk.http.put("/admin/cleanup-config", json={})).json()["cleanup_days"] == 30.0


async def test_a_requested_sweep_runs_and_reports(desk: Desk) -> None:
    asked = await desk.http.post("/admin/cleanup/run")
    assert asked.status_code == 202
    report_id = asked.json()["id"]
    report = await eventually(
        lambda: desk.get(f"/admin/cleanup/reports/{report_id}"), lambda report: report["state"] == "finished"
    )
    assert (report["cause"], report["requested_by"], report["failed"]) == ("request", str(ADMIN), [])
    listed = await desk.get("/admin/cleanup/reports", limit=1)
    assert listed["items"][0]["id"] == report_id
    assert (await desk.http.get("/admin/cleanup/reports/999999")).json()["code"] == "report_not_found"


async def test_reset_needs_its_phrase_and_is_published(desk: Desk) -> None:
    for body, expected in (
        ({"confirmation": "yes"}, "delete all jobs"),
        ({"confirmation": "delete all jobs", "users": True}, "delete all jobs and users"),
        ({"confirmation": "delete all jobs and users"}, "delete all jobs"),
    ):
        refused = await desk.http.post("/admin/reset", json=body)
        assert (refused.status_code, refused.json()["expected"]) == (422, expected)
    assert (await desk.http.post("/admin/reset", json={"confirmation": "delete all jobs"})).status_code == 202
    order = {"confirmation": "delete all jobs and users", "users": True}
    assert (await desk.http.post("/admin/reset", json=order)).json()["users"] is True
    orders = await published(desk.sessions, Outbox, ResetRequested)
    assert [(event.requested_by, event.users) for event in orders] == [(ADMIN, False), (ADMIN, True)]


async def test_reset_aborts_existing_resumable_uploads_and_no_later_one(desk: Desk) -> None:
    begun, later = uuid4(), uuid4()
    parts = desk.store.parts
    await parts.put(keys.source(begun), await parts.begin(keys.source(begun), "audio/mpeg"), 1, b"x")
    await desk.store.put(keys.resumable_record(begun), b"{}")
    await desk.store.put(keys.resumable_tail(begun, 7), b"1234567")
    answer = await desk.http.post("/admin/reset", json={"confirmation": "delete all jobs"})
    assert answer.json()["uploads"] == 1
    await desk.store.put(keys.resumable_record(later), b"{}")

    async def given_up() -> bool:
        listed = [item.key async for item in desk.store.list(keys.RESUMABLE)]
        return listed == [keys.resumable_record(later)] and not await parts.unfinished()

    await eventually(given_up)


async def test_files_of_one_owner_are_listed_in_pages_too(desk: Desk) -> None:
    mine, others = [await desk.job() for _ in range(2)], uuid4()
    await desk.store.put(keys.source(others), b"of another owner")
    async with desk.sessions.begin() as session:
        await JobRepository(session).put_created(others, uuid4(), datetime.now(UTC))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await desk.get("/admin/files", owner_id=str(OWNER), limit=3, **cursor)
        seen += [item["key"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(seen) == 10
    assert seen == sorted(set(seen))
    narrowed = await desk.get("/admin/files", owner_id=str(OWNER), job_id=str(others))
    assert narrowed["items"] == []
    one = await desk.get("/admin/files", owner_id=str(OWNER), job_id=str(mine[0]), kind="uploads")
    assert [item["job_id"] for item in one["items"]] == [str(mine[0])]


async def test_zip_contains_the_newest_transcript_of_every_job(desk: Desk) -> None:
    first, second, gone = await desk.job(), await desk.job(), await desk.job()
    await desk.store.put(keys.transcript(second, 10, "txt"), b"the tenth attempt")
    async with desk.sessions.begin() as session:
        await JobRepository(session).put_deleted(gone, OWNER, datetime.now(UTC))
    content = (await desk.http.get("/admin/download-all", params={"format": "txt", "recordings": "true"})).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {
        f"talks Über alles {first}.txt": f"txt of {first}".encode(),
        f"talks Über alles {second}.txt": b"the tenth attempt",
        f"recordings/talks Über alles {first}.mp3": b"recording",
        f"recordings/talks Über alles {second}.mp3": b"recording",
    }


async def test_empty_store_gives_an_empty_zip(desk: Desk) -> None:
    content = (await desk.http.get("/admin/download-all")).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == []


async def test_a_large_recording_is_sent_in_small_pieces(desk: Desk, resources: Resources) -> None:
    job_id = await desk.job()
    await desk.store.put(keys.source(job_id), bytes(24 * 1024 * 1024))
    bundle = Bundle(resources.sessions, resources.store, fmt="txt", recordings=True)
    sizes = [len(piece) async for piece in bundle.chunks()]
    assert sum(sizes) > 24 * 1024 * 1024
    assert max(sizes) <= 3 * 1024 * 1024
