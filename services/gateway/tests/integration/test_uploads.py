"""Uploads through the gateway into the real object store and the real jobs service."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.storage import ObjectStore
from common.testing import eventually
from support.forms import END, FORM, part

pytestmark = pytest.mark.integration

Uploads = Callable[[], Awaitable[list[str]]]
Platform = Any


def head(name: str, file_name: str | None = None) -> bytes:
    return part(name, file_name=file_name, kind="audio/flac" if file_name is not None else None)


async def test_recording_is_stored_unchanged_and_becomes_a_job(client: httpx.AsyncClient, store: ObjectStore) -> None:
    recording = bytes(range(256)) * 5000
    answer = await client.post(
        "/jobs",
        files={"file": ("../Zoë's 会議.flac", recording, "audio/flac")},
        data={
            "model": "tiny",
            "language": "DE",
            "word_timestamps": "true",
            "initial_prompt": "Grüße",
            "hotwords": "Zoë",
            "multilingual": "true",
            "track": "2",
        },
    )
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert job["file_name"] == "Zoë's 会議.flac"
    assert job["content_type"] == "audio/flac"
    assert job["size_bytes"] == len(recording)
    assert job["sha256"] == hashlib.sha256(recording).hexdigest()
    assert job["options"] == {
        "model": "tiny",
        "language": "de",
        "task": "transcribe",
        "word_timestamps": True,
        "initial_prompt": "Grüße",
        "hotwords": "Zoë",
        "multilingual": True,
        "track": 2,
    }
    assert await store.get(f"uploads/{job['id']}/source") == recording
    assert (await client.get(f"/jobs/{job['id']}")).json()["id"] == job["id"]
    assert job["id"] in [item["id"] for item in (await client.get("/jobs", params={"limit": 5})).json()["items"]]


async def test_fields_may_precede_and_follow_the_file(client: httpx.AsyncClient) -> None:
    body = (
        head("language") + b"en" + head("file", "a.flac") + b"sound" + head("task") + b"translate" + head("model") + END
    )
    answer = await client.post("/jobs", content=body, headers=FORM)
    assert answer.status_code == 201, answer.text
    assert (
        answer.json()["options"] | {"language": "en", "task": "translate", "model": "base"} == answer.json()["options"]
    )


async def test_default_language_is_a_setting(platform: Platform, token: str) -> None:
    spoken = {}
    with platform.running("gateway", "german gateway", WHISPER_LANGUAGE="de") as url:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            for field in ("", "auto", "fr"):
                answer = await client.post("/jobs", files={"file": ("a.flac", b"sound")}, data={"language": field})
                spoken[field] = answer.json()["options"]["language"]
    assert spoken == {"": "de", "auto": None, "fr": "fr"}


async def test_empty_recording_is_accepted(client: httpx.AsyncClient, store: ObjectStore) -> None:
    answer = await client.post("/jobs", files={"file": ("empty.wav", b"", "audio/wav")})
    assert (answer.status_code, answer.json()["size_bytes"]) == (201, 0)
    assert await store.get(f"uploads/{answer.json()['id']}/source") == b""


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (head("model") + b"base" + END, 422, "invalid_form"),
        (head("file") + b"text" + END, 422, "invalid_form"),
        (head("file", "") + END, 422, "invalid_form"),
        (head("file", "a") + b"1" + head("task") + b"sing" + END, 422, "invalid_form"),
        (head("file", "a") + b"1" + head("language") + b"german!" + END, 422, "invalid_form"),
        (head("file", "a") + b"1" + head("langauge") + b"de" + END, 422, "invalid_form"),
        (head("file", "a") + b"1" + head("model") + b"base" + head("model") + b"tiny" + END, 422, "invalid_form"),
        (head("file", "a") + b"1" + head("initial_prompt") + b"\xff" + END, 422, "invalid_form"),
        (head("file", "a") + b"1" + head("initial_prompt") + b"x" * 20_000 + END, 422, "invalid_form"),
        (head("file", "a") + b"stops here", 400, "bad_upload"),
        (b"no form at all", 400, "bad_upload"),
    ],
)
async def test_invalid_forms_leave_no_object(
    client: httpx.AsyncClient, uploads: Uploads, body: bytes, status: int, code: str
) -> None:
    before = await uploads()
    answer = await client.post("/jobs", content=body, headers=FORM)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert await uploads() == before


async def test_upload_without_a_token_is_refused_before_the_first_byte(platform: Platform, uploads: Uploads) -> None:
    before = await uploads()
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield b"x" * 65536
            await asyncio.sleep(0)

    async with httpx.AsyncClient(base_url=platform.urls["gateway"]) as stranger:
        answer = await stranger.post("/jobs", content=body(), headers=FORM)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        forged = await stranger.post("/jobs", content=b"", headers=FORM | {"Authorization": "Bearer abc"})
        assert (forged.status_code, forged.json()["code"]) == (401, "invalid_token")
    assert await uploads() == before


async def test_recordings_over_the_limit_are_refused_during_the_upload(
    platform: Platform, token: str, uploads: Uploads
) -> None:
    before = await uploads()

    async def body(size: int) -> AsyncIterator[bytes]:
        yield head("file", "big.flac")
        for _ in range(size // 50_000):
            yield b"x" * 50_000
        yield END

    with platform.running("gateway", "small gateway", MAX_UPLOAD_SIZE="1000000") as url:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            announced = await client.post("/jobs", files={"file": ("big.flac", b"x" * 2_000_000)})
            assert (announced.status_code, announced.json()["code"]) == (413, "upload_too_large")
            streamed = await client.post("/jobs", content=body(1_050_000), headers=FORM)
            assert (streamed.status_code, streamed.json()["max_bytes"]) == (413, 1_000_000)
            assert await uploads() == before
            exact = await client.post("/jobs", content=body(1_000_000), headers=FORM)
            assert exact.status_code == 201


async def test_disconnected_client_leaves_no_object(platform: Platform, token: str, uploads: Uploads) -> None:
    before = await uploads()
    port = int(platform.urls["gateway"].rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST /jobs HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\nContent-Length: 50000000\r\n"
        f"Content-Type: {FORM['Content-Type']}\r\n\r\n".encode()
    )
    writer.write(head("file", "gone.flac") + b"x" * 20_000_000)
    await writer.drain()
    writer.transport.abort()
    await eventually(
        lambda: asyncio.to_thread((platform.logs / "gateway.log").read_text), lambda text: '"status":499' in text
    )
    assert await uploads() == before
    async with httpx.AsyncClient(base_url=platform.urls["gateway"]) as client:
        assert (await client.get("/health/ready")).status_code == 200


async def test_silent_client_times_out(platform: Platform, token: str, uploads: Uploads) -> None:
    before = await uploads()
    with platform.running("gateway", "impatient gateway", UPLOAD_IDLE_TIMEOUT="0.5") as url:

        async def body() -> AsyncIterator[bytes]:
            yield head("file", "slow.flac") + b"x" * 100_000
            await asyncio.sleep(20)

        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
            sending = asyncio.create_task(client.post("/jobs", content=body(), headers=FORM))
            await eventually(
                lambda: asyncio.to_thread((platform.logs / "impatient gateway.log").read_text),
                lambda seen: '"status":400' in seen,
            )
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    assert await uploads() == before


async def test_refusal_of_the_jobs_service_deletes_the_recording(client: httpx.AsyncClient, uploads: Uploads) -> None:
    before = await uploads()
    body = head("file", "a.flac") + b"sound" + head("initial_prompt") + b"\x00" + END
    answer = await client.post("/jobs", content=body, headers=FORM)
    assert (answer.status_code, answer.json()["service"]) == (422, "jobs")
    assert await uploads() == before


async def test_unavailable_jobs_service_is_named_and_no_object_is_left(
    platform: Platform, token: str, uploads: Uploads
) -> None:
    before = await uploads()
    with platform.running("gateway", "lonely gateway", JOBS_URL="http://127.0.0.1:1") as url:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            answer = await client.post("/jobs", files={"file": ("a.flac", b"sound")})
    assert answer.status_code == 503
    assert answer.json() | {"code": "service_unavailable", "upstream": "jobs", "service": "gateway"} == answer.json()
    assert "retry-after" in answer.headers
    assert await uploads() == before


@asynccontextmanager
async def forgetful(jobs_url: str, lost_answers: int) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy to the real jobs service that drops the first answers to POST."""
    posts: list[bytes] = []
    host, port = jobs_url.removeprefix("http://").split(":")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", request, re.IGNORECASE)
        request += await reader.readexactly(int(length[1])) if length else b""
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
        server_writer.write(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = await server_reader.read()
        server_writer.close()
        is_post = request.startswith(b"POST")
        if is_post:
            posts.append(request)
        if not is_post or len(posts) > lost_answers:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", posts


async def test_lost_answer_is_retried_and_creates_one_job(platform: Platform, token: str) -> None:
    async with forgetful(platform.urls["jobs"], lost_answers=1) as (jobs_url, posts):
        with platform.running("gateway", "unlucky gateway", JOBS_URL=jobs_url) as url:
            async with httpx.AsyncClient(
                base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60
            ) as client:
                answer = await client.post("/jobs", files={"file": ("a.flac", b"sound")})
                assert answer.status_code == 201, answer.text
                recent = (await client.get("/jobs", params={"limit": 10})).json()["items"]
    assert len(posts) == 2
    assert [job["id"] for job in recent].count(answer.json()["id"]) == 1


async def test_recording_is_kept_while_it_is_unknown_whether_the_job_exists(
    platform: Platform, token: str, client: httpx.AsyncClient, uploads: Uploads
) -> None:
    before = await uploads()
    async with forgetful(platform.urls["jobs"], lost_answers=2) as (jobs_url, _):
        with platform.running("gateway", "very unlucky gateway", JOBS_URL=jobs_url) as url:
            async with httpx.AsyncClient(
                base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60
            ) as lost:
                answer = await lost.post("/jobs", files={"file": ("a.flac", b"sound")})
    assert (answer.status_code, answer.json()["upstream"]) == (503, "jobs")
    (kept,) = set(await uploads()) - set(before)
    assert (await client.get(f"/jobs/{kept.split('/')[1]}")).status_code == 200


async def test_memory_does_not_grow_during_a_large_upload(platform: Platform, token: str, store: ObjectStore) -> None:
    size, block = 300 * 1024 * 1024, bytes(range(256)) * 1024
    digest = hashlib.sha256()

    async def body() -> AsyncIterator[bytes]:
        yield head("file", "long.flac")
        for _ in range(size // len(block)):
            digest.update(block)
            yield block
        yield END

    with platform.running("gateway", "measured gateway") as url:
        status = Path(f"/proc/{platform.processes['measured gateway'].pid}/status")

        async def resident() -> float:
            text = await asyncio.to_thread(status.read_text)
            return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS"))

        idle = peak = await resident()

        async def watch() -> None:
            nonlocal peak
            while True:
                peak = max(peak, await resident())
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=300) as client:
            answer = await client.post("/jobs", content=body(), headers=FORM)
        watching.cancel()
    assert answer.status_code == 201, answer.text
    assert answer.json()["size_bytes"] == size
    assert answer.json()["sha256"] == digest.hexdigest()
    info = await store.stat(f"uploads/{answer.json()['id']}/source")
    await store.delete(info.key)
    assert info.size == size
    print(f"resident memory of the gateway: {idle:.0f} MiB idle, {peak:.0f} MiB at most")
    assert peak < 150
