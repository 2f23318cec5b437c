"""Storing the bytes of a resumable upload, and creating the job after the last ones."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import structlog
from fastapi import Request
from starlette.requests import ClientDisconnect

from common.events import keys
from common.storage import ObjectMissing, ObjectStore
from gateway import metrics
from gateway.errors import BadUpload, UploadTooLarge
from gateway.relay.upstreams import Refusal, Upstream
from gateway.uploads.acceptance import Recording, Undecided, create_jobs, end_upload

from .claims import Claim
from .errors import ChecksumMismatch, UploadGone
from .records import Record, Records

log = structlog.get_logger(__name__)

# The client disconnected or timed out: the bytes that it sent until then are kept.
_INTERRUPTIONS = (ClientDisconnect, BadUpload)


@dataclass(frozen=True, slots=True)
class Checksum:
    """The checksum of the bytes of one request."""

    algorithm: str
    digest: bytes


class Transfer:
    """Appends to one upload, for which the caller has the claim.

    The record is written after every full part, so that a killed process loses at most one part; with a checksum,
    only after it was verified. At most one part is in memory.
    """

    def __init__(self, store: ObjectStore, records: Records, record: Record, claim: Claim) -> None:
        self._store = store
        self._records = records
        self.record = record
        self._claim = claim
        self._buffer = bytearray()

    async def append(self, body: AsyncIterator[bytes], checksum: Checksum | None) -> None:
        """Store bytes; raises ChecksumMismatch, UploadTooLarge, UploadGone, or the interruption by the client."""
        # `draft` is the changed record, `self.record` the stored one.
        draft = self.record
        self._buffer = bytearray(await self._store.get(draft.tail_key)) if draft.tail else bytearray()
        draft = draft.with_changes(tail=0)
        interruption: Exception | None = None
        hashing = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
        try:
            async for block in self._bounded(body):
                if hashing:
                    hashing.update(block)
                draft = await self._take(draft, block, count=hashing is None)
        except _INTERRUPTIONS as error:
            interruption = error
        if hashing and (interruption or checksum is None or hashing.digest() != checksum.digest):
            raise interruption or ChecksumMismatch(
                "The bytes do not match the checksum and were discarded; send them again."
            )
        await self._commit(draft.with_changes(tail=len(self._buffer)))
        if interruption:
            raise interruption

    async def finish(self, request: Request, jobs: Upstream) -> None:
        """Store the complete recording as the job's source and create the job; may be repeated after a failure.

        Raises ServiceUnavailable if it is unknown whether the job was created, and the jobs service's Refusal. The
        recording is deleted if it was refused because its owner is over the quota or deleted.
        """
        if self.record.sha256 is None:
            await self._compose()
        record = self.record
        assert record.sha256 is not None
        recording = Recording(record.job_id, record.file_name, record.content_type, record.length, record.sha256)
        try:
            answer = await create_jobs(request, jobs, [recording], record.choices)
        except Undecided as undecided:
            metrics.UPLOADS.labels("undecided").inc()
            raise undecided.reason from undecided
        metrics.UPLOADS.labels("refused" if answer.is_error else "accepted").inc()
        if _is_final(answer):
            await self._discard()
            await end_upload(request, jobs, record.job_id)
        if answer.is_error:
            raise Refusal(answer)
        await self._commit(record.with_changes(accepted=True))
        await end_upload(request, jobs, record.job_id)

    async def _discard(self) -> None:
        """Delete a recording that will not become a job."""
        await self._store.delete(keys.source(self.record.job_id))
        await self._records.drop(self.record)

    async def _bounded(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        room = self.record.length - self.record.offset
        async for block in body:
            metrics.UPLOAD_BYTES.inc(len(block))
            room -= len(block)
            if room < 0:
                raise UploadTooLarge(f"The upload has more bytes than its Upload-Length of {self.record.length}.")
            yield block

    async def _take(self, draft: Record, block: bytes, *, count: bool) -> Record:
        rest = memoryview(block)
        while rest:
            taken = rest[: draft.part_size - len(self._buffer)]
            self._buffer += taken
            rest = rest[len(taken) :]
            if len(self._buffer) == draft.part_size:
                draft = await self._put_part(draft)
                if count:
                    await self._commit(draft)
        return draft

    async def _put_part(self, draft: Record) -> Record:
        """Store the buffer as the next part; replaces a part of the same number that is not in the record."""
        self._claim.require()
        key = keys.source(draft.job_id)
        multipart = draft.multipart or await self._store.parts.begin(key, draft.content_type)
        try:
            etag = await self._store.parts.put(key, multipart, len(draft.etags) + 1, self._buffer)
        except ObjectMissing as error:
            raise UploadGone("The parts of this upload were deleted; create a new upload.") from error
        self._buffer = bytearray()
        return draft.with_changes(multipart=multipart, etags=[*draft.etags, etag])

    async def _commit(self, draft: Record) -> None:
        """Write the record of what is stored."""
        before = self.record
        self._claim.require()
        if draft.tail and draft.offset != before.offset:
            await self._store.put(draft.tail_key, bytes(self._buffer))
        await self._records.write(draft)
        self.record = draft
        if before.tail and before.tail_key != draft.tail_key:
            await self._store.delete(before.tail_key)

    async def _compose(self) -> None:
        record = self.record
        key = keys.source(record.job_id)
        tail = await self._store.get(record.tail_key) if record.tail else b""
        if record.multipart is None:
            await self._store.put(key, tail, record.content_type)
        else:
            await self._join(record, record.multipart, tail)
        # The state of a hash cannot be stored between requests, so the complete recording is read once.
        digest, size = hashlib.sha256(), 0
        async for block in self._store.open(key):
            digest.update(block)
            size += len(block)
        if size != record.length:
            raise UploadGone("The parts of this upload are incomplete; create a new upload.")
        log.info("recording stored", size_bytes=size)
        await self._commit(record.with_changes(sha256=digest.hexdigest()))

    async def _join(self, record: Record, multipart: str, tail: bytes) -> None:
        key, etags = keys.source(record.job_id), list(record.etags)
        try:
            if tail:
                etags.append(await self._store.parts.put(key, multipart, len(etags) + 1, tail))
            await self._store.parts.complete(key, multipart, etags)
        except ObjectMissing:
            # A killed process completed it before it wrote the record, or it was deleted.
            try:
                await self._store.stat(key)
            except ObjectMissing as error:
                raise UploadGone("The parts of this upload were deleted; create a new upload.") from error


def _is_final(refusal: httpx.Response) -> bool:
    """Whether a retry is useless: the owner is over the quota or deleted. Another 401 needs a new token."""
    if refusal.status_code == HTTPStatus.UNAUTHORIZED:
        return bool(refusal.json().get("code") == "account_gone")
    return refusal.status_code == HTTPStatus.TOO_MANY_REQUESTS
