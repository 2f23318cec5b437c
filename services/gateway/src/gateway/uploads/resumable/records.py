"""The record of an upload: a small JSON object in the object store."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ValidationError

from common.events import JobOptions, keys
from common.storage import ObjectMissing, ObjectStore
from common.storage.parts import MOST_PARTS

from .errors import UploadGone, UploadNotFound

MIB = 1024 * 1024
_PART = 8 * MIB


class Record(BaseModel):
    """One upload; its id is the id of its job.

    The stored bytes are the parts `etags` of `part_size` bytes each, followed by `tail` bytes in a separate object, too
    few for a part. `sha256` is set when the recording is complete and stored as the job's source, `accepted` when the
    job exists.
    """

    job_id: UUID
    owner_id: UUID
    file_name: str
    content_type: str
    options: JobOptions
    further: dict[str, Any] = {}
    metadata: str
    length: int
    part_size: int
    expires_at: datetime
    multipart: str | None = None
    etags: list[str] = []
    tail: int = 0
    sha256: str | None = None
    accepted: bool = False

    @property
    def choices(self) -> dict[str, Any]:
        """All choices of the client, in the format of the jobs service; `further` is all but the options."""
        return {"options": self.options.model_dump(mode="json"), **self.further}

    @property
    def offset(self) -> int:
        """Number of bytes that are stored durably."""
        return self.length if self.sha256 else len(self.etags) * self.part_size + self.tail

    @property
    def tail_key(self) -> str:
        """The key of the bytes after the last part; one key per offset, so that none is overwritten."""
        return keys.resumable_tail(self.job_id, self.offset)

    def with_changes(self, **changes: object) -> Self:
        """A copy of the record with changes."""
        return self.model_copy(update=changes)


def part_size(length: int) -> int:
    """Bytes of a part: few, to save memory, but enough for MOST_PARTS parts."""
    needed = -(-length // (MOST_PARTS - 1))
    return max(_PART, -(-needed // MIB) * MIB)


class Records:
    """The records of all uploads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def read(self, job_id: UUID) -> Record:
        """Return a record; raises UploadNotFound."""
        try:
            return Record.model_validate_json(await self._store.get(keys.resumable_record(job_id)))
        except (ObjectMissing, ValidationError) as error:
            raise UploadNotFound(f"There is no upload {job_id}.") from error

    async def owned(self, job_id: UUID, owner_id: UUID) -> Record:
        """Return the owner's record; raises UploadNotFound, or UploadGone when it has expired."""
        record = await self.read(job_id)
        if record.owner_id != owner_id:
            raise UploadNotFound(f"There is no upload {job_id}.")
        if record.expires_at <= datetime.now(UTC):
            raise UploadGone("The upload has expired; create a new one.")
        return record

    async def write(self, record: Record) -> None:
        """Store a record."""
        body = record.model_dump_json().encode()
        await self._store.put(keys.resumable_record(record.job_id), body, "application/json")

    async def drop(self, record: Record) -> None:
        """Delete an upload and its stored bytes; a recording that is stored as a job's source is kept."""
        if record.multipart is not None and record.sha256 is None:
            with suppress(ObjectMissing):
                await self._store.parts.abort(keys.source(record.job_id), record.multipart)
        await self._store.delete_many(prefix=keys.resumable_prefix(record.job_id))
