"""Uploads in flight of people whose access ends: none becomes a job, the connection is closed, and nothing is left."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from common.events import keys
from common.storage import ObjectStore
from common.testing import eventually
from native.fleet import Fleet
from support.forms import FORM, part
from support.people import DELETED, ENDINGS, Ending, administrator, bearer, made_key, signed_up, user_id
from support.platform_client import PlatformClient

pytestmark = pytest.mark.e2e

SIZE = 12_000_000  # more than a part: something is stored already
SENT = 9_000_000
TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": str(SIZE), "Upload-Metadata": "filename bWluZS53YXY="}


@pytest.fixture(scope="module")
def admin(quick_fleet: Fleet) -> Iterator[PlatformClient]:
    with administrator(quick_fleet) as client:
        yield client


@pytest.fixture
async def store(quick_fleet: Fleet) -> AsyncIterator[ObjectStore]:
    made = ObjectStore(quick_fleet.storage)
    yield made
    await made.close()


async def stored(store: ObjectStore) -> set[str]:
    """Keys of all uploads, unfinished ones too."""
    unfinished = {f"{item.key} (unfinished)" for item in await store.parts.unfinished(keys.UPLOADS)}
    return {item.key async for item in store.list(keys.UPLOADS)} | unfinished


async def in_progress(fleet: Fleet) -> float:
    """Requests that the gateway is answering."""
    headers = bearer(fleet.state.secret("metrics_token"))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{fleet.port('gateway', 'metrics')}") as client:
        lines = (await client.get("/metrics", headers=headers)).raise_for_status().text.splitlines()
    wanted = 'verbatim_http_requests_in_progress{service="gateway"}'
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(wanted)), 0)


def head(method: str, path: str, size: int, **headers: str) -> bytes:
    """The head of a request with a body of this size."""
    named = {"Host": "x", "Content-Length": str(size), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def form_request(shown: dict[str, str]) -> bytes:
    """A form whose first recording is complete, and whose second breaks off."""
    begun = part("file", b"w" * 1000, "whole.wav") + part("file", b"h" * SENT, "half.wav")
    return head("POST", "/jobs", SIZE + SENT, **FORM, **shown) + begun


def tus_request(user: PlatformClient, shown: dict[str, str]) -> tuple[bytes, str]:
    """A piece of a resumable upload that breaks off, and the upload's id."""
    where = user.http.post("/files", headers=TUS).raise_for_status().headers["location"]
    piece = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    return head("PATCH", where, SIZE, **piece, **shown) + b"p" * SENT, where.rpartition("/")[2]


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, object]]:
    """Status and document of the answer, after which the server closes the connection."""
    async with asyncio.timeout(60):
        whole = await reader.read()
    first, _, body = whole.partition(b"\r\n\r\n")
    assert b"connection: close" in first.lower()
    return int(first.split(b" ")[1]), json.loads(body)


@pytest.mark.parametrize("kind", ["form", "tus"])
@pytest.mark.parametrize("ending", ENDINGS, ids=str)
async def test_upload_ends_with_the_access_and_leaves_nothing(
    quick_fleet: Fleet, admin: PlatformClient, store: ObjectStore, ending: Ending, kind: str
) -> None:
    name = f"{ending.name.replace(' ', '-').replace(chr(39), '')}-{kind}"
    user = signed_up(quick_fleet, name)
    owner, before = user_id(user), await stored(store)
    shown = bearer(made_key(user, "write")["key"] if ending.by_key else user.token)
    request, upload = (form_request(shown), "") if kind == "form" else tus_request(user, shown)
    address = httpx.URL(quick_fleet.url("gateway"))
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(request)
    await writer.drain()

    async def arriving() -> bool:
        return await in_progress(quick_fleet) >= 1 and bool(await stored(store) - before)

    await eventually(arriving, what="the gateway reads the upload and has stored some of it")
    await asyncio.to_thread(ending.end, admin, user, name)
    status, problem = await answered(reader)
    assert (status, problem["code"]) == (401, "session_ended"), problem
    writer.close()
    jobs = admin.http.get("/jobs", params={"owner": owner}).raise_for_status().json()["items"]
    assert jobs == []

    async def nothing_left() -> bool:
        records = {item.key async for item in store.list(keys.RESUMABLE) if upload and upload in item.key}
        return not await stored(store) - before and not records

    # What arrived of a resumable upload waits for its owner, who may sign in again; a deleted one never will.
    if kind == "form" or "deleted" in ending.name:
        await eventually(nothing_left, what="the stored parts are removed")
    user.close()


async def test_last_bytes_of_a_resumable_upload_after_the_deletion_become_nothing(
    quick_fleet: Fleet, admin: PlatformClient
) -> None:
    user = signed_up(quick_fleet, "deleted-before-the-last-byte")
    owner = user_id(user)
    where = user.http.post("/files", headers=TUS | {"Upload-Length": "10"}).raise_for_status().headers["location"]
    piece = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    user.http.patch(where, content=b"x" * 5, headers=piece | {"Upload-Offset": "0"}).raise_for_status()
    DELETED.end(admin, user, "")
    last = user.http.patch(where, content=b"x" * 5, headers=piece | {"Upload-Offset": "5"})
    assert (last.status_code, last.json()["code"]) == (401, "session_ended")
    assert admin.http.get("/jobs", params={"owner": owner}).json()["items"] == []
    user.close()
