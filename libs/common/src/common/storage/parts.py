"""Uploads in parts that several requests, or several processes, carry on with."""

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
    """Parts that are to become an object, and since when; the store gives no time for some."""

    key: str
    upload_id: str
    begun: datetime | None


class PartStore:
    """Parts of unfinished objects; who uses it remembers upload id and etags, and sees to it that there is one writer.

    Every method raises ObjectMissing when the upload is over or was taken back, and StoreUnavailable.
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
        """Store a part, counted from 1, in place of one that had the number; return its etag."""
        # Declared as bytes, but only hashed and sent: a copy would double what is in memory.
        body = cast("bytes", data)
        return await self._client.call(self._s3._upload_part, self._client.bucket, key, body, None, upload_id, number)

    async def complete(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        """Make the object appear from parts 1, 2, …; any other part is dropped."""
        parts = [Part(number, etag) for number, etag in enumerate(etags, start=1)]
        await self._client.call(self._s3._complete_multipart_upload, self._client.bucket, key, upload_id, parts)

    async def unfinished(self, prefix: str = "") -> Sequence[UnfinishedObject]:
        """What was begun under the prefix and is neither complete nor taken back; at most the first 1,000."""

        def listed() -> list[UnfinishedObject]:
            # The client offers no public way to see them.
            uploads = self._s3._list_multipart_uploads(self._client.bucket, prefix=prefix or None).uploads
            return [UnfinishedObject(each.object_name, each.upload_id or "", each.initiated_time) for each in uploads]

        return await self._client.call(listed)

    async def abort(self, key: str, upload_id: str) -> None:
        """Take back an upload with all its parts."""
        await self._client.call(self._s3._abort_multipart_upload, self._client.bucket, key, upload_id)
