"""Resumable uploads with public tus clients, breaking connections and killed processes."""

import asyncio
import base64
import hashlib
import io
import json
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from tusclient.client import TusClient

from common.events import keys
from common.storage import ObjectStore
from common.testing import eventually

from .conftest import NewUser

pytestmark = pytest.mark.integration

Platform = Any
ROOT = Path(__file__).parents[4]
SUPPORT, WEB = ROOT / "tests" / "support", ROOT / "web"
TUS_JS = WEB / "node_modules" / "tus-js-client"
MIB = 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream"}


def recording(size: int) -> bytes:
    """Random bytes."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


def metadata(**fields: str) -> dict[str, str]:
    pairs = [f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items()]
    return {"Upload-Metadata": ",".join(pairs)}


async def begun(client: httpx.AsyncClient, length: int, **fields: str) -> str:
    headers = TUS | {"Upload-Length": str(length)} | metadata(filename="talk.mp3", **fields)
    answer = await client.post("/files", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def sent(client: httpx.AsyncClient, where: str, offset: int, data: bytes, **more: str) -> httpx.Response:
    headers = PIECE | {"Upload-Offset": str(offset)} | {name.replace("_", "-"): value for name, value in more.items()}
    return await client.patch(where, content=data, headers=headers)


async def offset_of(client: httpx.AsyncClient, where: str) -> int:
    answer = await client.head(where, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


async def check(client: httpx.AsyncClient, store: ObjectStore, job_path: str, data: bytes) -> dict[str, Any]:
    """The job exists with the uploaded recording, and no other object of the upload is left."""
    job: dict[str, Any] = (await client.get(job_path)).raise_for_status().json()
    assert (job["size_bytes"], job["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert hashlib.sha256(await store.get(keys.source(UUID(job["id"])))).hexdigest() == job["sha256"]
    return job


@asynccontextmanager
async def cut_after(url: str, amounts: list[int]) -> AsyncIterator[str]:
    """A proxy to the gateway that cuts each connection after a number of bytes."""
    host, port = url.removeprefix("http://").split(":")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(host, int(port))

        async def back() -> None:
            while data := await there_reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

        answering = asyncio.create_task(back())
        passed, limit = 0, None
        try:
            while data := await reader.read(65536):
                if data.startswith(b"PATCH") and amounts and limit is None:
                    limit = amounts.pop(0)
                passed += len(data)
                there.write(data)
                await there.drain()
                if limit is not None and passed > limit:
                    break
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            there.transport.abort()
            writer.transport.abort()

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_tuspy_client_uploads_over_breaking_connections(
    platform: Platform, token: str, client: httpx.AsyncClient, store: ObjectStore
) -> None:
    data = recording(21 * MIB + 5)
    async with cut_after(platform.urls["gateway"], [2 * MIB, 9 * MIB, 300_000]) as url:
        tus = TusClient(f"{url}/files", headers={"Authorization": f"Bearer {token}"})
        uploader = tus.uploader(
            file_stream=io.BytesIO(data),
            chunk_size=12 * MIB,
            metadata={
                "filename": "Zoë's talk.mp3",
                "filetype": "audio/mpeg",
                "language": "de",
                "word_timestamps": "true",
            },
            retries=20,
            retry_delay=1,
        )
        await asyncio.to_thread(uploader.upload)
    answer = await client.head(str(uploader.url).replace(url, ""), headers=TUS)
    job = await check(client, store, answer.headers["x-verbatim-job"], data)
    assert (job["file_name"], job["content_type"]) == ("Zoë's talk.mp3", "audio/mpeg")
    assert (job["options"]["language"], job["options"]["word_timestamps"]) == ("de", True)


@pytest.mark.skipif(not TUS_JS.exists() or not shutil.which("node"), reason="needs Node.js, and npm ci in web/")
async def test_tus_js_client_uploads_over_breaking_connections(
    platform: Platform, token: str, client: httpx.AsyncClient, store: ObjectStore, tmp_path: Path
) -> None:
    data = recording(13 * MIB + 5)
    (tmp_path / "talk.mp3").write_bytes(data)
    async with cut_after(platform.urls["gateway"], [2 * MIB, 3 * MIB, 300_000]) as url:
        node = await asyncio.create_subprocess_exec(
            "node", SUPPORT / "tus_upload.mjs", WEB, f"{url}/files", token, tmp_path / "talk.mp3", stdout=PIPE
        )
        try:
            said, _ = await asyncio.wait_for(node.communicate(), 120)
        finally:
            if node.returncode is None:
                node.kill()
                await node.wait()
    assert node.returncode == 0
    done = json.loads(said)
    assert done["retries"] >= 3, "each cut connection was one more try"
    answer = await client.head(done["url"].replace(url, ""), headers=TUS)
    job = await check(client, store, answer.headers["x-verbatim-job"], data)
    assert (job["file_name"], job["options"]["language"]) == ("Zoë's talk.mp3", "de")


async def test_tuspy_client_sends_checksums(
    platform: Platform, token: str, client: httpx.AsyncClient, store: ObjectStore
) -> None:
    data = recording(3 * MIB)
    tus = TusClient(f"{platform.urls['gateway']}/files", headers={"Authorization": f"Bearer {token}"})
    uploader = tus.uploader(
        file_stream=io.BytesIO(data), chunk_size=MIB, metadata={"filename": "a.wav"}, upload_checksum=True
    )
    await asyncio.to_thread(uploader.upload)
    path = httpx.URL(str(uploader.url)).path
    await check(client, store, path.replace("/files/", "/jobs/"), data)


async def test_another_replica_continues_after_a_kill(
    platform: Platform, token: str, client: httpx.AsyncClient, store: ObjectStore
) -> None:
    data = recording(30 * MIB)

    headers = {"Authorization": f"Bearer {token}"}
    with platform.running("gateway", "doomed gateway") as url:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as doomed:
            where = await begun(doomed, len(data))
            assert (await sent(doomed, where, 0, data[: 3 * MIB])).status_code == 204

            async def blocks() -> AsyncIterator[bytes]:
                for start in range(3 * MIB, 20 * MIB, MIB):
                    yield data[start : start + MIB]
                await asyncio.sleep(60)

            headers = PIECE | {"Upload-Offset": str(3 * MIB)}
            sending = asyncio.create_task(doomed.patch(where, content=blocks(), headers=headers))
            await eventually(lambda: offset_of(client, where), lambda seen: seen >= 16 * MIB)
            platform.processes["doomed gateway"].kill()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    offset = await offset_of(client, where)
    assert offset == 16 * MIB

    async def taken() -> bool:
        """The claim of the killed process has to run out."""
        return (await sent(client, where, offset, data[offset:])).status_code == 204

    await eventually(taken)
    head = await client.head(where, headers=TUS)
    await check(client, store, head.headers["x-verbatim-job"], data)


async def test_second_writer_is_refused(
    platform: Platform, token: str, client: httpx.AsyncClient, store: ObjectStore
) -> None:
    data = recording(9 * MIB)
    where = await begun(client, len(data))
    with platform.running("gateway", "rival gateway") as url:
        async with httpx.AsyncClient(base_url=url, headers=client.headers, timeout=60) as rival:
            for start in range(0, len(data), 3 * MIB):
                piece = data[start : start + 3 * MIB]
                both = asyncio.gather(sent(client, where, start, piece), sent(rival, where, start, piece))
                answers = list(await both)
                assert {answer.status_code for answer in answers} <= {204, 409, 423}
                if all(answer.status_code != 204 for answer in answers):
                    assert await offset_of(client, where) == start
                    answers.append(await sent(client, where, start, piece))
                assert [answer.status_code for answer in answers].count(204) == 1
    await check(client, store, where.replace("/files/", "/jobs/"), data)


async def test_bytes_with_a_wrong_checksum_are_discarded(client: httpx.AsyncClient, store: ObjectStore) -> None:
    data = recording(10 * MIB)
    where = await begun(client, len(data))
    for algorithm in ("sha1", "sha256", "md5"):
        wrong = base64.b64encode(hashlib.new(algorithm, b"other").digest()).decode()
        answer = await sent(client, where, 0, data, Upload_Checksum=f"{algorithm} {wrong}")
        assert (answer.status_code, answer.json()["code"]) == (460, "checksum_mismatch")
        assert await offset_of(client, where) == 0
    unknown = await sent(client, where, 0, data[:10], Upload_Checksum="crc32 AAAA")
    assert unknown.status_code == 400
    right = base64.b64encode(hashlib.sha256(data).digest()).decode()
    answer = await sent(client, where, 0, data, Upload_Checksum=f"sha256 {right}")
    assert answer.status_code == 204
    await check(client, store, answer.headers["x-verbatim-job"], data)


async def test_requests_of_any_size_make_the_recording(client: httpx.AsyncClient, store: ObjectStore) -> None:
    data = recording(9 * MIB)
    where, offset = await begun(client, len(data)), 0
    for size in (1, 0, 1000, 8 * MIB - 1001, 1, 5, len(data)):
        answer = await sent(client, where, offset, data[offset : offset + size])
        offset = min(offset + size, len(data))
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(offset))
        assert ("x-verbatim-job" in answer.headers) == (offset == len(data))
    await check(client, store, answer.headers["x-verbatim-job"], data)
    again = await sent(client, where, offset, b"")
    assert again.headers["x-verbatim-job"] == answer.headers["x-verbatim-job"]


async def test_creation_may_contain_bytes_and_an_upload_may_be_empty(
    client: httpx.AsyncClient, store: ObjectStore
) -> None:
    data = recording(2000)
    answer = await client.post("/files", content=data[:500], headers=PIECE | {"Upload-Length": "2000"})
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "500")
    answer = await sent(client, answer.headers["location"], 500, data[500:])
    await check(client, store, answer.headers["x-verbatim-job"], data)
    empty = await client.post("/files", headers=TUS | {"Upload-Length": "0"})
    await check(client, store, empty.headers["x-verbatim-job"], b"")


async def test_job_is_created_at_the_next_head_after_an_outage_of_jobs(
    platform: Platform, token: str, client: httpx.AsyncClient, store: ObjectStore
) -> None:
    data = recording(1000)
    where = await begun(client, len(data))  # checks the quota at jobs
    with platform.running("gateway", "cut off gateway", JOBS_URL="http://127.0.0.1:1") as url:
        async with httpx.AsyncClient(base_url=url, headers=client.headers, timeout=60) as lonely:
            answer = await sent(lonely, where, 0, data)
            assert (answer.status_code, answer.json()["upstream"]) == (503, "jobs")
    head = await client.head(where, headers=TUS)
    assert head.headers["upload-offset"] == "1000"
    await check(client, store, head.headers["x-verbatim-job"], data)


async def test_upload_belongs_to_its_owner_and_can_be_deleted(
    client: httpx.AsyncClient, store: ObjectStore, new_user: NewUser
) -> None:
    where = await begun(client, 20 * MIB)
    assert (await sent(client, where, 0, recording(9 * MIB))).status_code == 204
    stranger = {"Authorization": f"Bearer {(await new_user())['token']}"}
    for method in ("HEAD", "PATCH", "DELETE"):
        answer = await client.request(method, where, headers=PIECE | {"Upload-Offset": "0"} | stranger)
        assert answer.status_code == 404
    assert (await client.delete(where, headers=TUS)).status_code == 204
    assert (await client.head(where, headers=TUS)).status_code == 404
    upload_id = UUID(where.rpartition("/")[2])
    assert [info.key async for info in store.list(keys.resumable_prefix(upload_id))] == []
    assert [info.key async for info in store.list(keys.upload_prefix(upload_id))] == []


async def test_uploads_expire(platform: Platform, token: str, store: ObjectStore) -> None:
    with platform.running("gateway", "hasty gateway", UPLOAD_EXPIRY_HOURS="0.0005") as url:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            where = await begun(client, 5000)
            assert "GMT" in (await sent(client, where, 0, b"x")).headers["upload-expires"]
            await eventually(lambda: client.head(where, headers=TUS), lambda answer: answer.status_code == 410)
    prefix = keys.resumable_prefix(UUID(where.rpartition("/")[2]))
    assert [info.key async for info in store.list(prefix)]
    with platform.running("gateway", "tidy gateway"):

        async def tidied() -> bool:
            return not [info.key async for info in store.list(prefix)]

        await eventually(tidied)


async def test_answers_follow_the_protocol(platform: Platform, client: httpx.AsyncClient) -> None:
    abilities = await client.options("/files", headers={"Authorization": ""})
    assert (abilities.status_code, abilities.headers["tus-version"]) == (204, "1.0.0")
    assert abilities.headers["tus-max-size"] == str(2 * 1024**3)
    assert {"creation", "checksum", "termination", "expiration"} <= set(abilities.headers["tus-extension"].split(","))
    other = await client.post("/files", headers={"Tus-Resumable": "0.2.2", "Upload-Length": "1"})
    assert (other.status_code, other.headers["tus-version"], other.headers["tus-resumable"]) == (412, "1.0.0", "1.0.0")
    large = await client.post("/files", headers=TUS | {"Upload-Length": str(2**40)})
    assert (large.status_code, large.json()["code"]) == (413, "upload_too_large")
    for headers in ({}, {"Upload-Length": "-1"}, {"Upload-Length": "1", "Upload-Metadata": "filename ?"}):
        assert (await client.post("/files", headers=TUS | headers)).status_code == 400
    odd = await client.post("/files", headers=TUS | {"Upload-Length": "1"} | metadata(task="sing"))
    assert (odd.status_code, odd.json()["code"]) == (422, "invalid_form")
    where = await begun(client, 10, task="translate")
    head = await client.head(where, headers=TUS)
    assert (head.headers["upload-length"], head.headers["cache-control"]) == ("10", "no-store")
    assert head.headers["upload-metadata"].startswith("filename ")
    assert (await client.patch(where, content=b"x", headers=TUS | {"Upload-Offset": "0"})).status_code == 415
    wrong = await sent(client, where, 5, b"x")
    assert (wrong.status_code, wrong.json()["offset"]) == (409, 0)
    assert (await sent(client, where, 0, b"x" * 11)).status_code == 413
    stand_in = PIECE | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await client.post(where, content=b"0123", headers=stand_in)).headers["upload-offset"] == "4"
