"""The object store's async face against a real S3 server."""

import asyncio
import gc
import hashlib
import resource
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from common.settings import StorageSettings
from common.storage import ObjectMissing, ObjectStore, StoreUnavailable
from native.testing import ObjectStoreServer, free_port

pytestmark = pytest.mark.integration

MIB = 1024 * 1024


async def pieces(total: int, size: int = 100_000) -> AsyncIterator[bytes]:
    """So many bytes in pieces whose size divides nothing evenly."""
    block = bytes(range(256)) * (size // 256 + 1)
    while total > 0:
        piece = block[: min(size, total)]
        total -= len(piece)
        yield piece


async def whole(chunks: AsyncIterator[bytes]) -> bytes:
    """All bytes of a stream."""
    return b"".join([chunk async for chunk in chunks])


async def test_an_object_comes_back_as_it_was_put(store: ObjectStore) -> None:
    result = await store.put("jobs/1/plan.json", b"{}", "application/json", metadata={"file-name": "Réunion 1.mp3"})
    assert (result.size, result.sha256) == (2, hashlib.sha256(b"{}").hexdigest())
    assert await store.get("jobs/1/plan.json") == b"{}"
    info = await store.stat("jobs/1/plan.json")
    assert (info.key, info.size, info.content_type) == ("jobs/1/plan.json", 2, "application/json")
    assert info.metadata == {"file-name": "Réunion 1.mp3"}
    assert info.modified.tzinfo is not None


async def test_what_is_missing_is_named(store: ObjectStore, tmp_path: Path) -> None:
    for read in (store.get("no/such"), store.stat("no/such"), whole(store.open("no/such"))):
        with pytest.raises(ObjectMissing, match="no/such"):
            await read
    with pytest.raises(ObjectMissing):
        await store.download("no/such", tmp_path / "file")
    assert _names(tmp_path) == []
    await store.delete("no/such")


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1, 12 * MIB + 3])
async def test_a_stream_of_unknown_length_is_stored_and_hashed(store: ObjectStore, size: int) -> None:
    result = await store.put_stream("source", pieces(size), "audio/mpeg", part_size=5 * MIB)
    expected = await whole(pieces(size))
    assert (result.size, result.sha256) == (size, hashlib.sha256(expected).hexdigest())
    assert await store.get("source") == expected
    assert (await store.stat("source")).content_type == "audio/mpeg"


async def test_thirty_megabytes_stream_through_flat_memory(store: ObjectStore) -> None:
    await store.put_stream("warm-up", pieces(12 * MIB), part_size=5 * MIB)
    gc.collect()
    before = _peak_mib()
    await store.put_stream("small", pieces(30 * MIB), part_size=5 * MIB)
    assert _peak_mib() - before < 16, "two parts, and one being received"
    between = _peak_mib()
    await store.put_stream("large", pieces(90 * MIB), part_size=5 * MIB)
    assert _peak_mib() - between < 8, "three times the length, the same memory"


async def test_a_stream_that_breaks_leaves_neither_object_nor_parts(store: ObjectStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for piece in pieces(12 * MIB):
            yield piece
        raise ConnectionResetError("the browser went away")

    with pytest.raises(ConnectionResetError):
        await store.put_stream("source", broken(), part_size=5 * MIB)
    with pytest.raises(ObjectMissing):
        await store.stat("source")
    assert await _uploads(store) == []


async def test_a_cancelled_upload_leaves_neither_object_nor_parts(store: ObjectStore) -> None:
    received = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for piece in pieces(11 * MIB):
            yield piece
        received.set()
        await asyncio.sleep(60)

    upload = asyncio.create_task(store.put_stream("source", endless(), part_size=5 * MIB))
    await received.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    with pytest.raises(ObjectMissing):
        await store.stat("source")
    assert await _uploads(store) == []


async def test_parts_of_several_writers_become_one_object(store: ObjectStore) -> None:
    first, second, tail = b"a" * 5 * MIB, b"b" * 5 * MIB, b"end"
    upload = await store.parts.begin("source", "audio/mpeg")
    etags = [await store.parts.put("source", upload, 1, first)]
    await store.parts.put("source", upload, 2, b"x" * 5 * MIB)
    etags.append(await store.parts.put("source", upload, 2, bytearray(second)))
    etags.append(await store.parts.put("source", upload, 3, tail))
    with pytest.raises(ObjectMissing):
        await store.stat("source")
    await store.parts.complete("source", upload, etags)
    assert await store.get("source") == first + second + tail
    assert (await store.stat("source")).content_type == "audio/mpeg"


async def test_parts_that_were_taken_back_are_missing(store: ObjectStore) -> None:
    upload = await store.parts.begin("source", "audio/mpeg")
    await store.parts.put("source", upload, 1, b"a" * 5 * MIB)
    await store.parts.abort("source", upload)
    with pytest.raises(ObjectMissing):
        await store.parts.put("source", upload, 2, b"a")
    with pytest.raises(ObjectMissing):
        await store.parts.complete("source", upload, ["0" * 32])
    assert await _uploads(store) == []


async def test_a_range_is_read_without_the_rest(store: ObjectStore) -> None:
    data = await whole(pieces(3 * MIB))
    await store.put("audio", data)
    assert await whole(store.open("audio")) == data
    assert await whole(store.open("audio", offset=MIB, length=7)) == data[MIB : MIB + 7]
    assert await whole(store.open("audio", offset=len(data) - 5)) == data[-5:]
    assert await whole(store.open("audio", offset=len(data) - 5, length=100)) == data[-5:]
    assert await whole(store.open("audio", offset=len(data))) == b""
    assert await whole(store.open("audio", offset=3, length=0)) == b""


async def test_a_reader_may_leave_early(store: ObjectStore) -> None:
    await store.put_stream("audio", pieces(12 * MIB))
    for _ in range(20):
        async with aclosing(store.open("audio")) as chunks:
            async for chunk in chunks:
                assert chunk
                break
    assert len(await store.get("audio")) == 12 * MIB


async def test_a_download_appears_only_when_complete(store: ObjectStore, tmp_path: Path) -> None:
    await store.put_stream("audio", pieces(6 * MIB))
    await store.download("audio", tmp_path / "audio.bin")
    assert (tmp_path / "audio.bin").read_bytes() == await whole(pieces(6 * MIB))
    assert _names(tmp_path) == ["audio.bin"]


async def test_a_prefix_of_more_than_a_thousand_objects_is_listed_and_deleted(store: ObjectStore) -> None:
    keys = [f"jobs/1/results/{number:05d}.json" for number in range(1_100)]
    for begin in range(0, len(keys), 50):
        await asyncio.gather(*(store.put(key, b"x") for key in keys[begin : begin + 50]))
    await store.put("jobs/10/plan.json", b"of another job")
    assert [item.key async for item in store.list("jobs/1/")] == keys
    assert await store.delete_many(prefix="jobs/1/") == 1_100
    assert [item.key async for item in store.list("jobs/")] == ["jobs/10/plan.json"]
    assert await store.delete_many(["jobs/10/plan.json", "jobs/missing"]) == 2
    assert [item async for item in store.list("")] == []


async def test_folders_are_named_once_each(store: ObjectStore) -> None:
    for key in ("jobs/b/plan.json", "jobs/a/plan.json", "jobs/a/a1/peaks.json", "jobs/stray", "uploads/c/source"):
        await store.put(key, b"x")
    assert [name async for name in store.folders("jobs/")] == ["a", "b"]


async def test_uploads_whose_process_died_are_taken_back(store: ObjectStore) -> None:
    client = store._client
    await client.call(client.s3._create_multipart_upload, client.bucket, "uploads/dead/source", {})
    (left,) = await store.parts.unfinished()
    assert await store.parts.unfinished("elsewhere/") == []
    await store.parts.abort(left.key, left.upload_id)
    assert await store.parts.unfinished() == []
    assert await _uploads(store) == []


async def test_the_bucket_cannot_be_emptied_by_mistake(store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="prefix"):
        await store.delete_many(prefix="")
    with pytest.raises(ValueError, match="collection"):
        await store.delete_many("jobs/1/")


async def test_a_presigned_url_lets_anybody_read_for_a_while(store: ObjectStore) -> None:
    await store.put("transcripts/1/a1/transcript.srt", b"1\n", "application/x-subrip")
    url = await store.presign_get("transcripts/1/a1/transcript.srt", timedelta(minutes=5), "Réunion.srt")
    async with httpx.AsyncClient() as client:
        response = await client.get(url)
        assert (response.status_code, response.content) == (200, b"1\n")
        assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''R%C3%A9union.srt"
        assert (await client.get(url.replace("transcript.srt", "other.srt"))).status_code == 403


async def test_a_bucket_is_made_once(s3_server: ObjectStoreServer) -> None:
    store = ObjectStore(s3_server.settings("made-once"))
    with pytest.raises(StoreUnavailable, match="made-once"):
        await store.check()
    await asyncio.gather(store.ensure_bucket(), store.ensure_bucket())
    await store.ensure_bucket()
    await store.check()
    await store.close()


async def test_an_absent_store_is_reported_soon(storage_settings: StorageSettings) -> None:
    store = ObjectStore(storage_settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{free_port()}"}))
    for attempt in (store.get("key"), store.put("key", b""), store.put_stream("key", pieces(12 * MIB)), store.check()):
        begun = asyncio.get_running_loop().time()
        with pytest.raises(StoreUnavailable):
            await attempt
        assert asyncio.get_running_loop().time() - begun < 10
    await store.close()


async def test_an_upload_fails_when_the_store_dies_under_it(store: ObjectStore, s3_server: ObjectStoreServer) -> None:
    async def deadly() -> AsyncIterator[bytes]:
        async for piece in pieces(6 * MIB):
            yield piece
        await s3_server.kill()
        async for piece in pieces(12 * MIB):
            yield piece

    with pytest.raises(StoreUnavailable):
        await store.put_stream("source", deadly(), part_size=5 * MIB)
    await s3_server.start()
    with pytest.raises(ObjectMissing):
        await store.stat("source")


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _uploads(store: ObjectStore) -> list[str]:
    """Keys of the uploads that have stored parts and are neither complete nor aborted."""
    client = store._client
    found = await client.call(client.s3._list_multipart_uploads, client.bucket)
    return [upload.object_name for upload in found.uploads]
