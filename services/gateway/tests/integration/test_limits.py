"""Quotas are checked before an upload, and requests are limited per user and address."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from common.storage import ObjectStore

from .conftest import NewUser

pytestmark = pytest.mark.integration

Platform = Any
KIB = 1024
ALLOWED = 100 * KIB
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def strict(platform: Platform) -> Iterator[str]:
    """A gateway with quotas of 100 KiB per user and 20 requests per minute."""
    limits = {"QUOTA_STORED_BYTES": str(ALLOWED), "DB_URL": platform.db_urls["jobs"]}
    with platform.running("jobs", "strict jobs", **limits) as jobs:
        rates = {"REQUESTS_PER_MINUTE": "20", "REQUESTS_PER_MINUTE_PER_ADDRESS": "5", "JOBS_URL": jobs}
        with platform.running("gateway", "gateway with limits", **rates) as url:
            yield url


@pytest.fixture
def people(strict: str, new_user: NewUser) -> Callable[[], Awaitable[httpx.AsyncClient]]:
    """Creates new users."""

    async def person() -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {(await new_user())['token']}"}
        return httpx.AsyncClient(base_url=strict, headers=headers, timeout=30)

    return person


@pytest.fixture
async def person(people: Callable[[], Awaitable[httpx.AsyncClient]]) -> AsyncIterator[httpx.AsyncClient]:
    async with await people() as client:
        yield client


def is_quota(answer: httpx.Response) -> bool:
    problem = answer.json()
    return (answer.status_code, problem["code"], problem["limit"]) == (429, "quota_exceeded", "stored_bytes")


async def stored(store: ObjectStore) -> set[str]:
    return {info.key async for info in store.list("")}


async def begun(client: httpx.AsyncClient, length: int) -> httpx.Response:
    name = base64.b64encode(b"talk.mp3").decode()
    headers = TUS | {"Upload-Length": str(length), "Upload-Metadata": f"filename {name}"}
    return await client.post("/files", headers=headers)


async def test_form_over_the_quota_is_refused_before_its_first_byte(
    person: httpx.AsyncClient, strict: str, store: ObjectStore
) -> None:
    before = await stored(store)
    address = httpx.URL(strict)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    head = (
        f"POST /jobs HTTP/1.1\r\nHost: x\r\nAuthorization: {person.headers['Authorization']}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000000\r\n\r\n"
    )
    writer.write(head.encode())
    async with asyncio.timeout(20):
        said = await reader.readuntil(b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 429 ")
    writer.close()
    assert await stored(store) == before


async def test_form_of_unknown_length_over_the_quota_leaves_no_object(
    person: httpx.AsyncClient, store: ObjectStore
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
        yield b"x" * (ALLOWED + 1)
        yield b"\r\n--b--\r\n"

    before = await stored(store)
    answer = await person.post("/jobs", content=body(), headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert is_quota(answer), answer.text
    assert await stored(store) == before


async def test_resumable_upload_over_the_quota_is_not_created(person: httpx.AsyncClient, store: ObjectStore) -> None:
    before = await stored(store)
    assert is_quota(await begun(person, ALLOWED + 1))
    assert await stored(store) == before


async def used(person: httpx.AsyncClient) -> int:
    allowance = (await person.get("/me/usage")).json()["stored_bytes"]
    assert allowance["allowed"] == ALLOWED
    return int(allowance["used"])


async def test_unfinished_resumable_uploads_count_with_their_full_length(
    person: httpx.AsyncClient,
) -> None:
    answers = await asyncio.gather(*(begun(person, ALLOWED // 2) for _ in range(4)))
    locations = [answer.headers["location"] for answer in answers if answer.status_code == 201]
    assert len(locations) == 2, "just as many begin as there are places"
    assert all(is_quota(answer) for answer in answers if answer.is_error)
    assert await used(person) == ALLOWED
    assert is_quota(await person.post("/jobs", files={"file": ("a.mp3", b"x" * KIB)})), "a form finds no place either"

    first, second = locations
    finished = await person.patch(first, content=b"x" * (ALLOWED // 2), headers=PIECE | {"Upload-Offset": "0"})
    assert finished.status_code == 204, finished.text
    assert await used(person) == ALLOWED, "its bytes count once, as the job's"
    assert (await person.delete(second, headers=TUS)).status_code == 204
    assert await used(person) == ALLOWED // 2
    assert (await begun(person, ALLOWED // 2)).status_code == 201


async def test_resumable_upload_refused_at_its_end_leaves_no_object(
    person: httpx.AsyncClient, store: ObjectStore, platform: Platform
) -> None:
    where = (await begun(person, ALLOWED)).headers["location"]
    number = where.rpartition("/")[2]
    async with _jobs_database(platform) as sql:  # the upload has expired for jobs, but not for the gateway
        await sql.execute("UPDATE uploads_begun SET expires_at = now() WHERE job_id = $1", UUID(number))
    assert (await person.post("/jobs", files={"file": ("a.mp3", b"x" * KIB)})).status_code == 201
    assert is_quota(await person.patch(where, content=b"x" * ALLOWED, headers=PIECE | {"Upload-Offset": "0"}))
    assert not [key for key in await stored(store) if number in key]
    assert (await person.head(where, headers=TUS)).status_code == 404
    assert await used(person) == KIB


@asynccontextmanager
async def _jobs_database(platform: Platform) -> AsyncIterator[asyncpg.Connection]:
    url = platform.db_urls["jobs"].replace("postgresql+asyncpg://", "postgresql://")
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_request_limit_applies_per_user(people: Callable[[], Awaitable[httpx.AsyncClient]], token: str) -> None:
    async with await people() as busy, await people() as other:
        answers = [await busy.get("/me/usage") for _ in range(22)]
        assert {answer.status_code for answer in answers[:20]} == {200}
        assert answers[-1].status_code == 429
        assert answers[-1].json()["code"] == "rate_limited"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert (await other.get("/me/usage")).status_code == 200
        admin = {"Authorization": f"Bearer {token}"}
        assert {(await other.get("/me/usage", headers=admin)).status_code for _ in range(25)} == {200}


async def test_requests_without_a_valid_token_count_for_their_address(person: httpx.AsyncClient, strict: str) -> None:
    head, claims, _ = person.headers["Authorization"].split(".")
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["role"] == "user"
    forged = {"Authorization": f"{head}.{claims}.{'A' * 86}"}
    async with httpx.AsyncClient(base_url=strict, timeout=30) as stranger:
        codes = [(await stranger.get("/me/usage", headers=forged)).status_code for _ in range(30)]
        assert codes[0] == 401
        assert set(codes[6:]) == {429}
        assert (await stranger.get("/health/live")).status_code == 200, "health checks are never refused"
    assert (await person.get("/me/usage")).status_code == 200
