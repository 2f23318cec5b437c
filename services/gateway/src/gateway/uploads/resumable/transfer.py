"""Taking bytes in, and what follows on the last of them."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import structlog
from fastapi import Request
from starlette.requests import ClientDisconnect

from common.storage import ObjectMissing, ObjectStore, keys
from gateway import metrics
from gateway.errors import BadUpload, UploadTooLarge
from gateway.relay.upstreams import Refusal, Upstream
from gateway.uploads.acceptance import Recording, Undecided, create_jobs, end_upload

from .claims import Claim
from .errors import ChecksumMismatch, UploadGone
from .records import Record, Records

log = structlog.get_logger(__name__)

# A client that leaves, and one that falls silent: what it sent until then is good.
_INTERRUPTIONS = (ClientDisconnect, BadUpload)


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one request must hash to."""

    algorithm: str
    digest: bytes


class Transfer:
    """Appends to one upload; whoever uses it holds the claim.

    After every full part the record is written, so that a killed process costs at most one part; with a checksum
    nothing counts before it is known to be right. At most one part is in memory.
    """

    def __init__(self, store: ObjectStore, records: Records, record: Record, claim: Claim) -> None:
        self._store = store
        self._records = records
        self.record = record
        self._claim = claim
        self._buffer = bytearray()

    async def append(self, body: AsyncIterator[bytes], checksum: Checksum | None) -> None:
        """Store a piece; raises ChecksumMismatch, UploadTooLarge, UploadGone, and what interrupted the client."""
        # The record that is worked on; `self.record` is the one that is stored.
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
            raise interruption or ChecksumMismatch("The bytes have another checksum and are dropped; send them again.")
        await self._commit(draft.with_changes(tail=len(self._buffer)))
        if interruption:
            raise interruption

    async def finish(self, request: Request, jobs: Upstream) -> None:
        """Put the complete recording in its place and have it taken up; may be repeated until it has worked.

        Raises ServiceUnavailable when nobody knows whether the jobs service accepted, and its Refusal; nothing is left
        of a recording that was refused because its owner has too much already, or is deleted.
        """
        if self.record.sha256 is None:
            await self._compose()
        record = self.record
        assert record.sha256 is not None
        made = Recording(record.job_id, record.file_name, record.content_type, record.length, record.sha256)
        try:
            answer = await create_jobs(request, jobs, [made], record.choices)
        except Undecided as undecided:
            metrics.UPLOADS.labels("undecided").inc()
            raise undecided.reason from undecided
        metrics.UPLOADS.labels("refused" if answer.is_error else "accepted").inc()
        if _is_final(answer):
            await self._give_up()
            await end_upload(request, jobs, record.job_id)
        if answer.is_error:
            raise Refusal(answer)
        await self._commit(record.with_changes(accepted=True))
        await end_upload(request, jobs, record.job_id)

    async def _give_up(self) -> None:
        """Leave nothing of a recording that will never become a job."""
        await self._store.delete(keys.source(self.record.job_id))
        await self._records.drop(self.record)

    async def _bounded(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        room = self.record.length - self.record.offset
        async for block in body:
            metrics.UPLOAD_BYTES.inc(len(block))
            room -= len(block)
            if room < 0:
                raise UploadTooLarge(f"The upload was announced with {self.record.length} bytes; these are more.")
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
        """Store the buffer as the next part; one of that number that never counted is replaced."""
        self._claim.require()
        key = keys.source(draft.job_id)
        multipart = draft.multipart or await self._store.parts.begin(key, draft.content_type)
        try:
            etag = await self._store.parts.put(key, multipart, len(draft.etags) + 1, self._buffer)
        except ObjectMissing as error:
            raise UploadGone("The parts of this upload were given up; begin again.") from error
        self._buffer = bytearray()
        return draft.with_changes(multipart=multipart, etags=[*draft.etags, etag])

    async def _commit(self, draft: Record) -> None:
        """Let what is stored count."""
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
        # A hash cannot be carried from one request to the next, so the recording is read once; what is there counts.
        digest, size = hashlib.sha256(), 0
        async for block in self._store.open(key):
            digest.update(block)
            size += len(block)
        if size != record.length:
            raise UploadGone("The parts of this upload are not complete; begin again.")
        log.info("recording stored", size_bytes=size)
        await self._commit(record.with_changes(sha256=digest.hexdigest()))

    async def _join(self, record: Record, multipart: str, tail: bytes) -> None:
        key, etags = keys.source(record.job_id), list(record.etags)
        try:
            if tail:
                etags.append(await self._store.parts.put(key, multipart, len(etags) + 1, tail))
            await self._store.parts.complete(key, multipart, etags)
        except ObjectMissing:
            # It was completed by somebody who did not live to say so, or it is gone.
            try:
                await self._store.stat(key)
            except ObjectMissing as error:
                raise UploadGone("The parts of this upload were given up; begin again.") from error


def _is_final(refusal: httpx.Response) -> bool:
    """Whether asking again is useless: the owner has too much, or is deleted; another token would help otherwise."""
    if refusal.status_code == HTTPStatus.UNAUTHORIZED:
        return bool(refusal.json().get("code") == "account_gone")
    return refusal.status_code == HTTPStatus.TOO_MANY_REQUESTS
