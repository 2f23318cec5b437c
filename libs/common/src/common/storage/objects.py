"""The asynchronous client of the object store."""

import asyncio
import hashlib
import itertools
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

import urllib3
from minio.datatypes import Object
from minio.deleteobjects import DeleteObject

from common.settings import StorageSettings

from .client import BeyondTheEndError, Client
from .errors import StoreUnavailable
from .parts import SMALLEST_PART, PartStore
from .upload import Upload

# No object has this prefix: every service may list it, to check the connection and its key.
CHECKED = "checked/"

_MIB = 1024 * 1024
_READ_SIZE = _MIB
_PAGE = 1000
_METADATA_HEADER = "x-amz-meta-"


@dataclass(frozen=True)
class PutResult:
    """The size in bytes, and the SHA-256 as lower-case hex, of a stored object."""

    size: int
    sha256: str


@dataclass(frozen=True)
class ObjectInfo:
    """Properties of an object; a listing has no content type and metadata."""

    key: str
    size: int
    content_type: str | None
    etag: str
    modified: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)


class ObjectStore:
    """One bucket; every method raises StoreUnavailable when the store does not answer or refuses."""

    def __init__(self, settings: StorageSettings) -> None:
        """Does not connect."""
        self._client = Client(settings)
        self._bucket = self._client.bucket
        self._s3 = self._client.s3
        self.parts = PartStore(self._client)
        self._aborting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Finish aborting failed uploads, then close connections and threads."""
        await asyncio.gather(*self._aborting, return_exceptions=True)
        self._client.close()

    async def check(self) -> None:
        """Raise StoreUnavailable unless the bucket can be reached with these credentials."""
        # Not with a request for the bucket itself: that needs the permission to list all of it.
        await self._client.call(lambda: next(iter(self._s3.list_objects(self._bucket, prefix=CHECKED)), None))

    async def ensure_bucket(self) -> None:
        """Create the bucket unless it exists."""
        if await self._client.call(self._s3.bucket_exists, self._bucket):
            return
        try:
            await self._client.call(self._s3.make_bucket, self._bucket)
        except StoreUnavailable:
            # Another process may have created it in between.
            if not await self._client.call(self._s3.bucket_exists, self._bucket):
                raise

    async def put(
        self,
        key: str,
        data: bytes,
        content_type: str = "application/octet-stream",
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> PutResult:
        """Store an object in one request, replacing what was there."""

        def store() -> PutResult:
            # The public call would copy the data part by part, only to send it in one request again.
            self._s3._put_object(self._bucket, key, data, _headers(content_type, metadata))
            return PutResult(len(data), hashlib.sha256(data).hexdigest())

        return await self._client.call(store)

    async def put_stream(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        content_type: str = "application/octet-stream",
        part_size: int = 8 * _MIB,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> PutResult:
        """Store a stream of unknown length; the object appears when its last byte is stored, or never.

        At most two parts are in memory: one on its way to the store, one being filled. An error of
        the stream or a cancellation aborts the upload and is raised.
        """
        upload = Upload(self._client, key, _headers(content_type, metadata), max(part_size, SMALLEST_PART))
        try:
            async for chunk in chunks:
                await upload.write(chunk)
            sha256 = await upload.complete()
        except BaseException:
            abort = asyncio.create_task(upload.abort(), name=f"abort upload of {key}")
            self._aborting.add(abort)
            abort.add_done_callback(self._aborting.discard)
            await asyncio.shield(abort)
            raise
        return PutResult(upload.size, sha256)

    async def get(self, key: str) -> bytes:
        """Return a whole object; meant for small ones. Raises ObjectMissing."""

        def read() -> bytes:
            with _reading(self._s3.get_object(self._bucket, key)) as response:
                return response.read()

        return await self._client.call(read)

    async def open(self, key: str, offset: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """Yield an object's bytes from `offset`, `length` of them or all; beyond the end there are none.

        Holds about 1 MiB in memory. Raises ObjectMissing at the first step.
        """
        if length == 0:
            return
        try:
            response = await self._client.call(
                self._s3.get_object, self._bucket, key, offset=offset, length=length or 0
            )
        except BeyondTheEndError:
            return
        complete = False
        try:
            while data := await self._client.call(response.read, _READ_SIZE):
                yield data
            complete = True
        finally:
            # A connection with unread data must not be reused.
            if complete:
                response.release_conn()
            else:
                response.close()

    async def download(self, key: str, path: Path) -> None:
        """Copy an object into a file, which appears only when it is complete. Raises ObjectMissing."""

        def copy() -> None:
            unfinished = path.with_name(path.name + ".part")
            try:
                with _reading(self._s3.get_object(self._bucket, key)) as response, unfinished.open("wb") as file:
                    shutil.copyfileobj(response, file, _READ_SIZE)
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)

        await self._client.call(copy)

    async def stat(self, key: str) -> ObjectInfo:
        """Return the properties of an object. Raises ObjectMissing."""
        return _info(await self._client.call(self._s3.stat_object, self._bucket, key))

    async def list(self, prefix: str, *, after: str | None = None) -> AsyncGenerator[ObjectInfo, None]:
        """Yield every object whose key begins with the prefix and follows `after`, in the order of the keys."""
        found = iter(self._s3.list_objects(self._bucket, prefix=prefix, recursive=True, start_after=after))
        while page := await self._client.call(_take, found):
            for item in page:
                yield _info(item)

    async def folders(self, prefix: str) -> AsyncGenerator[str, None]:
        """Yield the folder names directly below the prefix, in order.

        The store lists 1,000 folders per request without listing their objects.
        """
        found = iter(self._s3.list_objects(self._bucket, prefix=prefix))
        while page := await self._client.call(_take, found):
            for item in page:
                if item.is_dir:
                    yield (item.object_name or "").removeprefix(prefix).rstrip("/")

    async def delete(self, key: str) -> None:
        """Delete an object; a missing one is no error."""
        await self._client.call(self._s3.remove_object, self._bucket, key)

    async def delete_many(self, keys: Iterable[str] = (), *, prefix: str | None = None) -> int:
        """Delete the objects under these keys and those whose key begins with `prefix`; return their number.

        Missing objects are no error. An empty prefix is refused, because it would empty the bucket.
        """
        if isinstance(keys, str) or prefix == "":
            raise ValueError("delete_many takes a collection of keys, or a prefix that is not empty")
        count = 0
        named = iter(keys)
        while page := list(itertools.islice(named, _PAGE)):
            count += await self._client.call(self._delete_page, page)
        if prefix is not None:
            # The listing is complete before the first deletion: deleting while paging would skip pages.
            count += await self.delete_many([item.key async for item in self.list(prefix)])
        return count

    async def presign_get(self, key: str, expires: timedelta, file_name: str | None = None) -> str:
        """Return a URL that gives anyone read access until it expires; browsers save the object as `file_name`."""
        headers: dict[str, str | list[str] | tuple[str]] = {}
        if file_name is not None:
            headers["response-content-disposition"] = f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"
        return await self._client.call(
            self._s3.presigned_get_object, self._bucket, key, expires=expires, response_headers=headers
        )

    def _delete_page(self, page: Sequence[str]) -> int:
        failures = list(self._s3.remove_objects(self._bucket, [DeleteObject(key) for key in page]))
        if failures:
            raise StoreUnavailable(f"{len(failures)} objects were not deleted, the first: {failures[0].message}")
        return len(page)


def _take(found: Iterator[Object]) -> list[Object]:
    return list(itertools.islice(found, _PAGE))


@contextmanager
def _reading(response: urllib3.BaseHTTPResponse) -> Iterator[urllib3.BaseHTTPResponse]:
    """Release the connection after a complete read, close it after an incomplete one."""
    try:
        yield response
    except BaseException:
        response.close()
        raise
    response.release_conn()


def _headers(content_type: str, metadata: Mapping[str, str] | None) -> dict[str, str | list[str] | tuple[str]]:
    """Build the request headers; metadata is percent-encoded, because headers are ASCII."""
    encoded = {f"{_METADATA_HEADER}{name}": quote(value, safe=" ") for name, value in (metadata or {}).items()}
    return {"Content-Type": content_type, **encoded}


def _info(item: Object) -> ObjectInfo:
    headers = item.metadata or {}
    return ObjectInfo(
        key=item.object_name or "",
        size=item.size or 0,
        content_type=item.content_type,
        etag=item.etag or "",
        modified=item.last_modified or datetime.fromtimestamp(0, UTC),
        metadata={
            name.lower().removeprefix(_METADATA_HEADER): unquote(value)
            for name, value in headers.items()
            if name.lower().startswith(_METADATA_HEADER)
        },
    )
