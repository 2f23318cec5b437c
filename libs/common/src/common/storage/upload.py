"""A multipart upload of unknown length."""

import asyncio
import hashlib
from contextlib import suppress
from typing import cast

import structlog
from minio.datatypes import Part

from .client import Client
from .errors import StoreUnavailable

log = structlog.get_logger(__name__)


class Upload:
    """Collects bytes into parts and stores one part while the next is being filled, hashing on the way.

    Uses private multipart methods of the client: its public `put_object` reads a blocking file object, which would need
    a pipe and a second thread for each upload.
    """

    def __init__(
        self, client: Client, key: str, headers: dict[str, str | list[str] | tuple[str]], part_size: int
    ) -> None:
        """Nothing is sent before the first part is full."""
        self._client = client
        self._key = key
        self._headers = headers
        self._part_size = part_size
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._sending: asyncio.Task[None] | None = None
        self._parts: list[Part] = []
        self._hash = hashlib.sha256()
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Add bytes; waits while two parts are in memory."""
        view = memoryview(data)
        while view:
            taken = view[: self._part_size - len(self._buffer)]
            self._buffer += taken
            view = view[len(taken) :]
            if len(self._buffer) == self._part_size:
                await self._send()

    async def complete(self) -> str:
        """Complete the object and return its SHA-256."""
        await self._sent()
        if self._upload_id is None:
            await self._client.call(self._put_whole)
        else:
            if self._buffer:
                await self._send()
                await self._sent()
            await self._client.call(
                self._client.s3._complete_multipart_upload,
                self._client.bucket,
                self._key,
                self._upload_id,
                self._parts,
            )
        return self._hash.hexdigest()

    async def abort(self) -> None:
        """Abort the upload, after the part that is being sent: it would otherwise stay in the store."""
        if self._sending is not None:
            with suppress(StoreUnavailable):
                await self._sending
        if self._upload_id is None:
            return
        try:
            await self._client.call(
                self._client.s3._abort_multipart_upload,
                self._client.bucket,
                self._key,
                self._upload_id,
            )
        except StoreUnavailable as error:
            log.warning("failed upload not aborted, its parts stay", key=self._key, error=str(error))

    async def _send(self) -> None:
        await self._sent()
        part, self._buffer = self._buffer, bytearray()
        # A task: when the caller is cancelled the part is still sent, and `abort` can wait for it.
        self._sending = asyncio.create_task(self._client.call(self._put_part, part), name=f"upload of {self._key}")

    async def _sent(self) -> None:
        if self._sending is not None:
            await asyncio.shield(self._sending)
            self._sending = None

    def _put_part(self, part: bytearray) -> None:
        if self._upload_id is None:
            self._upload_id = self._client.s3._create_multipart_upload(self._client.bucket, self._key, self._headers)
        self._account(part)
        number = len(self._parts) + 1
        etag = self._client.s3._upload_part(
            self._client.bucket, self._key, _as_bytes(part), None, self._upload_id, number
        )
        self._parts.append(Part(number, etag))

    def _put_whole(self) -> None:
        self._account(self._buffer)
        self._client.s3._put_object(self._client.bucket, self._key, _as_bytes(self._buffer), self._headers)

    def _account(self, data: bytearray) -> None:
        self._hash.update(data)
        self.size += len(data)


def _as_bytes(data: bytearray) -> bytes:
    """Type a buffer as bytes without a copy, which would be a third part in memory."""
    return cast("bytes", data)
