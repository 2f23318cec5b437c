"""Uploads of several recordings, and repeated uploads with an Idempotency-Key."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.integration

Uploads = Callable[[], Awaitable[list[str]]]
AUDIO = b"RIFF" + bytes(range(256)) * 40


async def upload(client: httpx.AsyncClient, key: str | None = None, **fields: Any) -> httpx.Response:
    """Upload a recording (or the given files) with form fields and an Idempotency-Key."""
    files = fields.pop("files", [("file", ("talk.wav", AUDIO, "audio/wav"))])
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post("/jobs", files=files, data=fields, headers=headers)


async def test_several_recordings_become_several_jobs(client: httpx.AsyncClient) -> None:
    files = [("file", (f"{name}.wav", AUDIO + name.encode(), "audio/wav")) for name in ("a", "b")]
    answer = await upload(client, files=files, tags="x, y z", priority="high", callback_url="https://example.org/done")
    assert answer.status_code == 201, answer.text
    jobs = answer.json()["items"]
    assert [job["file_name"] for job in jobs] == ["a.wav", "b.wav"]
    for job in jobs:
        assert (job["tags"], job["priority"], job["callback_url"]) == (["x", "y z"], "high", "https://example.org/done")


async def test_one_invalid_field_refuses_all_recordings(client: httpx.AsyncClient, uploads: Uploads) -> None:
    before = await uploads()
    files = [("file", (f"{name}.wav", AUDIO, "audio/wav")) for name in ("a", "b")]
    answer = await upload(client, files=files, callback_url="ftp://example.org")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await uploads() == before


async def test_second_job_of_the_same_bytes_refers_to_the_first(client: httpx.AsyncClient) -> None:
    audio = AUDIO + uuid4().bytes
    first, again = [(await upload(client, files=[("file", ("talk.wav", audio, "audio/wav"))])).json() for _ in range(2)]
    assert (first["duplicate_of"], again["duplicate_of"]) == (None, first["id"])


async def test_repeated_upload_gets_the_first_answer_and_stores_nothing(
    client: httpx.AsyncClient, uploads: Uploads
) -> None:
    key = str(uuid4())
    first = await upload(client, key, language="en")
    before = await uploads()
    again = await upload(client, key, language="en")
    assert (first.status_code, again.status_code) == (201, 201), again.text
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert await uploads() == before


@pytest.mark.parametrize("change", [{"language": "de"}, {"files": [("file", ("talk.wav", AUDIO + b"!", "audio/wav"))]}])
async def test_key_of_another_upload_is_refused(client: httpx.AsyncClient, change: dict[str, Any]) -> None:
    key = str(uuid4())
    assert (await upload(client, key)).status_code == 201
    answer = await upload(client, key, **change)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_key_in_flight_is_refused_and_released_after_a_failure(client: httpx.AsyncClient) -> None:
    key = str(uuid4())
    held, go_on = asyncio.Event(), asyncio.Event()
    boundary = "b"

    async def slow() -> AsyncIterator[bytes]:
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
        # More than all buffers: once it is sent, the gateway has begun to read, so it has leased the key.
        yield bytes(32 * 1024 * 1024)
        held.set()
        await go_on.wait()
        yield f"\r\n--{boundary}--\r\n".encode()

    headers = {"Idempotency-Key": key, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    running = asyncio.create_task(client.post("/jobs", content=slow(), headers=headers))
    await held.wait()
    answer = await upload(client, key)
    assert answer.status_code == 409
    assert answer.json()["code"] == "idempotency_key_in_flight"
    assert answer.headers["Retry-After"] == "5"
    go_on.set()
    assert (await running).status_code == 201

    other = str(uuid4())
    assert (await upload(client, other, nonsense="x")).status_code == 422
    assert (await upload(client, other)).status_code == 201, "a refused upload uses no key up"


async def test_invalid_key_is_refused(client: httpx.AsyncClient) -> None:
    answer = await upload(client, "x" * 256)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
