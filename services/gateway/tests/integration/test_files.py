"""Recordings, transcripts and files of the page, with byte ranges."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from common.events import keys
from common.storage import ObjectStore

from .conftest import NewUser

pytestmark = pytest.mark.integration

Platform = Any
RECORDING = bytes(range(256)) * 10


@pytest.fixture
async def job_id(client: httpx.AsyncClient) -> str:
    answer = await client.post("/jobs", files={"file": ("Zoë's talk.mp3", RECORDING, "audio/mpeg")})
    created: str = answer.json()["id"]
    return created


async def planned_as(platform: Platform, job_id: str, source: dict[str, Any]) -> None:
    """Write the source properties that a transcriber would report."""
    connection = await asyncpg.connect(platform.db_urls["jobs"].replace("+asyncpg", ""))
    known = {"codec": "x", "sample_rate": 16_000, "channels": 1} | source
    await connection.execute("UPDATE jobs SET source = $2::jsonb WHERE id = $1::uuid", job_id, json.dumps(known))
    await connection.close()


async def test_recording_is_read_in_ranges(client: httpx.AsyncClient, platform: Platform, job_id: str) -> None:
    await planned_as(platform, job_id, {"container": "mp3"})
    whole = await client.get(f"/jobs/{job_id}/audio")
    assert (whole.status_code, whole.content) == (200, RECORDING)
    assert whole.headers["content-type"] == "audio/mpeg"
    assert whole.headers["content-disposition"].startswith("inline; ")
    assert whole.headers["accept-ranges"] == "bytes"
    assert "sandbox" in whole.headers["content-security-policy"]
    piece = await client.get(f"/jobs/{job_id}/audio", headers={"Range": "bytes=100-199"})
    assert (piece.status_code, piece.content) == (206, RECORDING[100:200])
    assert piece.headers["content-range"] == f"bytes 100-199/{len(RECORDING)}"
    assert piece.headers["content-length"] == "100"
    end = await client.get(f"/jobs/{job_id}/audio", headers={"Range": "bytes=-7"})
    assert end.content == RECORDING[-7:]
    beyond = await client.get(f"/jobs/{job_id}/audio", headers={"Range": f"bytes={len(RECORDING)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(RECORDING)}")
    assert beyond.json()["code"] == "range_not_satisfiable"
    several = await client.get(f"/jobs/{job_id}/audio", headers={"Range": "bytes=0-1,5-6"})
    assert (several.status_code, len(several.content)) == (200, len(RECORDING))


async def test_validators_are_respected_for_whole_files_and_ranges(client: httpx.AsyncClient, job_id: str) -> None:
    head = await client.head(f"/jobs/{job_id}/audio")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(RECORDING)))
    etag = head.headers["etag"]
    known = await client.get(f"/jobs/{job_id}/audio", headers={"If-None-Match": f'"other", {etag}'})
    assert (known.status_code, known.content) == (304, b"")
    same = await client.get(f"/jobs/{job_id}/audio", headers={"Range": "bytes=0-9", "If-Range": etag})
    assert same.status_code == 206
    changed = await client.get(f"/jobs/{job_id}/audio", headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (changed.status_code, len(changed.content)) == (200, len(RECORDING))


@pytest.mark.parametrize(
    ("name", "declared"),
    [("page.html", "text/html"), ("picture.svg", "audio/svg+xml"), ("talk.mp3", "audio/mpeg"), ("film", "video/html")],
)
async def test_recording_that_was_not_decoded_is_an_attachment(
    client: httpx.AsyncClient, name: str, declared: str
) -> None:
    files = {"file": (name, b"<script>alert(1)</script>", declared)}
    job_id = (await client.post("/jobs", files=files)).json()["id"]
    for path in (f"/jobs/{job_id}/audio", f"/uploads/{job_id}/source"):
        answer = await client.get(path)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment; ")
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("container", "video", "expected"),
    [
        ("wav", False, "audio/wav"),
        ("mp4", False, "audio/mp4"),
        ("mp4", True, "video/mp4"),
        ("webm", False, "audio/webm"),
        ("webm", True, "video/webm"),
        ("matroska", True, "video/x-matroska"),
        ("ogg", False, "audio/ogg"),
        ("mp3", True, "audio/mpeg"),
        ("svg+xml", False, "application/octet-stream"),
    ],
)
async def test_media_type_is_that_of_the_decoded_source(
    client: httpx.AsyncClient, platform: Platform, container: str, video: bool, expected: str
) -> None:
    files = {"file": ("recording", RECORDING, "application/octet-stream")}
    job_id = (await client.post("/jobs", files=files)).json()["id"]
    await planned_as(platform, job_id, {"container": container, "video": video})
    answer = await client.get(f"/jobs/{job_id}/audio", headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer.headers["content-type"]) == (206, expected)
    shown = "attachment; " if expected == "application/octet-stream" else "inline; "
    assert answer.headers["content-disposition"].startswith(shown)
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_files_have_the_paths_of_the_previous_system(
    client: httpx.AsyncClient, platform: Platform, store: ObjectStore, job_id: str
) -> None:
    for name in ("source", "Zoë's talk.mp3"):
        answer = await client.get(f"/uploads/{job_id}/{name}", headers={"Range": "bytes=0-3"})
        assert (answer.status_code, answer.content) == (206, RECORDING[:4])
    assert (await client.get(f"/transcripts/{job_id}/transcript.txt")).status_code == 404
    connection = await asyncpg.connect(platform.db_urls["jobs"].replace("+asyncpg", ""))
    await connection.execute(
        "UPDATE jobs SET state = 'completed', attempt = 2, transcript_attempt = 2, formats = $2 WHERE id = $1::uuid",
        job_id,
        ["txt", "srt"],
    )
    await connection.close()
    await store.put(keys.transcript(UUID(job_id), 2, "txt"), b"Gru\xc3\x9f Gott.")
    await store.put(keys.metadata(UUID(job_id)), b"{}")
    for name in ("transcript.txt", "Zoë's talk.txt"):
        answer = await client.get(f"/transcripts/{job_id}/{name}")
        assert (answer.status_code, answer.text) == (200, "Gruß Gott.")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert (await client.get(f"/transcripts/{job_id}/metadata.json")).json() == {}
    missing = await client.get(f"/transcripts/{job_id}/transcript.srt")
    assert (missing.status_code, missing.json()["code"]) == (404, "file_not_found")
    for path in ("uploads/{}/other.mp3", "transcripts/{}/transcript.exe", "transcripts/{}/..%2Fmetadata.json"):
        assert (await client.get("/" + path.format(job_id))).status_code == 404


async def test_other_users_get_not_found(
    client: httpx.AsyncClient, platform: Platform, new_user: NewUser, job_id: str
) -> None:
    paths = [f"/jobs/{job_id}/audio", f"/uploads/{job_id}/source", f"/transcripts/{job_id}/transcript.txt"]
    stranger = (await new_user())["token"]
    async with httpx.AsyncClient(base_url=platform.urls["gateway"], timeout=30) as anonymous:
        for path in paths:
            for method in ("GET", "HEAD"):
                assert (await anonymous.request(method, path)).status_code == 401
                answer = await anonymous.request(method, path, headers={"Authorization": f"Bearer {stranger}"})
                assert answer.status_code == 404


async def test_files_of_the_page_have_ranges_and_stay_inside_the_folder(
    platform: Platform, token: str, tmp_path: Path
) -> None:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>")
    (folder / "assets" / "app.js").write_text("0123456789")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with platform.running("gateway", "page gateway", WEB_DIR=str(folder)) as url:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            piece = await client.get("/static/assets/app.js", headers={"Range": "bytes=2-4"})
            assert (piece.status_code, piece.text) == (206, "234")
            assert "javascript" in piece.headers["content-type"]
            for path in ("..%2Fsecret.txt", "%2e%2e/secret.txt", "link.txt", "assets", "none.js", "a%00b"):
                assert (await client.get(f"/static/{path}")).status_code == 404, path
            assert (await client.get("/static/assets/app.js", headers={"Authorization": ""})).status_code == 401
