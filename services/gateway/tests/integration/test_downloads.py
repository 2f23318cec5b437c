"""Downloads of transcripts from the object store."""

from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from common.events import keys
from common.storage import ObjectStore

pytestmark = pytest.mark.integration

TRANSCRIPT = "Grüße aus der 会議.\n"


@pytest.fixture
async def finished_job(client: httpx.AsyncClient, platform: Any, store: ObjectStore) -> str:
    """A finished job (written into the catalogue of jobs) with three of the five formats in the store."""
    answer = await client.post("/jobs", files={"file": ("Zoë's talk.v2.mp3", b"sound", "audio/mpeg")})
    job_id: str = answer.json()["id"]
    connection = await asyncpg.connect(platform.db_urls["jobs"].replace("+asyncpg", ""))
    await connection.execute(
        "UPDATE jobs SET state = 'completed', attempt = 2, transcript_attempt = 2, formats = $2 WHERE id = $1::uuid",
        job_id,
        ["json", "txt", "vtt"],
    )
    await connection.close()
    for fmt in ("json", "txt", "vtt"):
        await store.put(keys.transcript(UUID(job_id), 2, fmt), f"{fmt}: {TRANSCRIPT}".encode())
    return job_id


@pytest.mark.parametrize(
    ("fmt", "content_type"),
    [("txt", "text/plain; charset=utf-8"), ("vtt", "text/vtt; charset=utf-8"), ("json", "application/json")],
)
async def test_transcript_has_its_media_type_and_the_name_of_the_recording(
    client: httpx.AsyncClient, finished_job: str, fmt: str, content_type: str
) -> None:
    answer = await client.get(f"/jobs/{finished_job}/download", params={"format": fmt})
    assert answer.status_code == 200
    assert answer.content.decode() == f"{fmt}: {TRANSCRIPT}"
    assert answer.headers["content-type"] == content_type
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["x-content-type-options"] == "nosniff"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith(f"attachment; filename=\"Zoe's talk.v2.{fmt}\"; filename*=UTF-8''")
    assert unquote(disposition.rpartition("''")[2]) == f"Zoë's talk.v2.{fmt}"


@pytest.mark.parametrize("path", ["/jobs/{}/download?format=txt", "/jobs/{}/audio", "/jobs/{}", "/log/{}", "/jobs"])
async def test_head_has_the_headers_of_the_download(client: httpx.AsyncClient, finished_job: str, path: str) -> None:
    whole, head = [await client.request(method, path.format(finished_job)) for method in ("GET", "HEAD")]
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "content-disposition", "etag", "cache-control"):
        assert head.headers.get(name) == whole.headers.get(name), name
    missing = await client.head(path.format("4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"))
    assert missing.status_code == (200 if path == "/jobs" else 404)


async def test_head_of_a_stream_does_not_wait_for_events(client: httpx.AsyncClient) -> None:
    waiting = (await client.post("/jobs", files={"file": ("a.mp3", b"sound")})).json()["id"]
    head = await client.head(f"/jobs/{waiting}/events", timeout=20)
    assert (head.status_code, head.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")


async def test_transcript_can_be_displayed_in_the_browser(client: httpx.AsyncClient, finished_job: str) -> None:
    answer = await client.get(f"/jobs/{finished_job}/download", params={"disposition": "inline"})
    assert answer.headers["content-disposition"].startswith("inline; ")
    assert answer.headers["content-type"].startswith("text/plain")


async def test_missing_and_unknown_formats_have_different_problems(
    client: httpx.AsyncClient, finished_job: str
) -> None:
    missing = await client.get(f"/jobs/{finished_job}/download", params={"format": "srt"})
    assert (missing.status_code, missing.json()["code"]) == (404, "format_not_available")
    assert missing.json()["formats"] == ["json", "txt", "vtt"]
    unknown = await client.get(f"/jobs/{finished_job}/download", params={"format": "pdf"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "invalid_request")


async def test_unfinished_job_has_no_transcript_yet(client: httpx.AsyncClient) -> None:
    job = (await client.post("/jobs", files={"file": ("a.mp3", b"sound")})).json()
    answer = await client.get(f"/jobs/{job['id']}/download")
    assert (answer.status_code, answer.json()["code"]) == (409, "transcript_not_ready")


async def test_problem_of_the_jobs_service_is_passed_on(client: httpx.AsyncClient) -> None:
    for path in (f"/jobs/{uuid4()}/download", f"/jobs/{uuid4()}"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"], answer.json()["service"]) == (404, "job_not_found", "jobs")
    assert (await client.get("/jobs/../../etc/passwd/download")).status_code == 404
    assert (await client.get("/jobs/not-an-id/download")).status_code == 422


async def test_deleted_job_is_not_found(client: httpx.AsyncClient, finished_job: str) -> None:
    assert (await client.delete(f"/jobs/{finished_job}")).status_code == 204
    assert (await client.get(f"/jobs/{finished_job}/download")).status_code == 404
