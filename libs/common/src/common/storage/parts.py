"""Multipart uploads that several requests or processes continue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from minio.datatypes import Part

from .client import Client

#: S3 refuses smaller parts, except for the last one, and more than 10,000 of them.
SMALLEST_PART = 5 * 1024 * 1024
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class UnfinishedObject:
    """An unfinished multipart upload; some stores give no start time."""

    key: str
    upload_id: str
    begun: datetime | None


class PartStore:
    """Parts of unfinished objects; the caller keeps upload id and etags, and ensures that there is one writer.

    Every method raises ObjectMissing when the upload was completed or aborted, and StoreUnavailable.
    """

    def __init__(self, client: Client) -> None:
        """Use `ObjectStore.parts` instead."""
        self._client = client
        self._s3 = client.s3

    async def begin(self, key: str, content_type: str) -> str:
        """Return the id of a new upload to the key."""
        return await self._client.call(
            self._s3._create_multipart_upload, self._client.bucket, key, {"Content-Type": content_type}
        )

    async def put(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> str:
        """Store or replace the part `number`, counted from 1; return its etag."""
        # Declared as bytes, but only hashed and sent: a copy would double what is in memory.
        body = cast("bytes", data)
        return await self._client.call(self._s3._upload_part, self._client.bucket, key, body, None, upload_id, number)

    async def complete(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        """Create the object from parts 1, 2, …; other parts are dropped."""
        parts = [Part(number, etag) for number, etag in enumerate(etags, start=1)]
        await self._client.call(self._s3._complete_multipart_upload, self._client.bucket, key, upload_id, parts)

    async def unfinished(self, prefix: str = "") -> Sequence[UnfinishedObject]:
        """The unfinished uploads under the prefix; at most the first 1,000."""

        def listed() -> list[UnfinishedObject]:
            # The client has no public method for it.
            uploads = self._s3._list_multipart_uploads(self._client.bucket, prefix=prefix or None).uploads
            return [UnfinishedObject(each.object_name, each.upload_id or "", each.initiated_time) for each in uploads]

        return await self._client.call(listed)

    async def abort(self, key: str, upload_id: str) -> None:
        """Abort an upload and delete its parts."""
        await self._client.call(self._s3._abort_multipart_upload, self._client.bucket, key, upload_id)
