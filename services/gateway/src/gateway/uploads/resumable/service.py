"""Resumable uploads, from creation to the job, and the deletion of expired ones."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import structlog
from fastapi import Request

from common import context
from common.events import keys
from common.storage import ObjectStore, StoreUnavailable
from common.web import Identity
from gateway.errors import UploadTooLarge
from gateway.relay.upstreams import Upstream
from gateway.uploads.acceptance import UploadLimits, begin_upload, choices_of, content_type_of, end_upload
from gateway.uploads.file_names import display_name
from gateway.uploads.multipart import with_idle_timeout

from .claims import Claims
from .errors import BadUploadHeader, OffsetMismatch, UploadNotFound
from .metadata import chosen_of
from .records import Record, Records, part_size
from .transfer import Checksum, Transfer

log = structlog.get_logger(__name__)

_SWEEP_SECONDS = 600.0


class ResumableUploads:
    """Creates, continues and deletes resumable uploads."""

    def __init__(self, store: ObjectStore, jobs: Upstream, limits: UploadLimits, lifetime: timedelta) -> None:
        self._store = store
        self._jobs = jobs
        self._limits = limits
        self._lifetime = lifetime
        self._records = Records(store)
        self._claims = Claims(store)

    @property
    def max_bytes(self) -> int:
        """The largest recording."""
        return self._limits.max_bytes

    async def create(self, request: Request, owner_id: UUID, *, length: int, metadata: str) -> Record:
        """Create an upload; raises UploadTooLarge, BadUploadHeader or InvalidForm.

        Raises the jobs service's Refusal if the user is over the quota, or the choices are not possible.
        """
        if length > self.max_bytes:
            raise UploadTooLarge(
                f"The recording is larger than the {self.max_bytes} bytes accepted here.", max_bytes=self.max_bytes
            )
        try:
            chosen = chosen_of(metadata)
        except ValueError as error:
            raise BadUploadHeader(f"Upload-Metadata is not valid: {error}.") from error
        choices = choices_of(chosen.fields, self._limits.default_language)
        record = Record(
            job_id=uuid4(),
            owner_id=owner_id,
            file_name=display_name(chosen.file_name),
            content_type=content_type_of(chosen.content_type),
            options=choices.pop("options"),
            further=choices,
            metadata=metadata,
            length=length,
            part_size=part_size(length),
            expires_at=datetime.now(UTC) + self._lifetime,
        )
        await begin_upload(
            request, self._jobs, record.job_id, size=length, lifetime=self._lifetime, choices=record.choices
        )
        try:
            await self._records.write(record)
        except Exception:
            await end_upload(request, self._jobs, record.job_id)
            raise
        with context.bound(job_id=record.job_id):
            log.info("resumable upload created", size_bytes=length)
        return record

    async def find(self, upload_id: UUID, identity: Identity) -> Record:
        """Return the caller's upload; raises UploadNotFound or UploadGone."""
        return await self._records.owned(upload_id, identity.user_id)

    async def append(self, request: Request, record: Record, *, offset: int, checksum: Checksum | None) -> Record:
        """Store the request's body, and create the job when the upload is complete.

        Raises OffsetMismatch, UploadBusy, ChecksumMismatch, and the jobs service's Refusal of the complete upload.
        """
        with context.bound(job_id=record.job_id):
            async with self._claims.hold(record.job_id) as claim:
                # Another request may have changed the record since it was read.
                record = await self._records.read(record.job_id)
                if offset != record.offset:
                    raise OffsetMismatch(f"{record.offset} bytes are stored, not {offset}.", offset=record.offset)
                transfer = Transfer(self._store, self._records, record, claim)
                if offset < record.length:
                    body = with_idle_timeout(request.stream(), self._limits.idle_seconds)
                    await transfer.append(body, checksum)
                if transfer.record.offset == record.length and not transfer.record.accepted:
                    await transfer.finish(request, self._jobs)
                return transfer.record

    async def look(self, request: Request, record: Record) -> Record:
        """The state of the upload; creates the job if all bytes are stored and the last request failed before that.

        A client does not send another request once all bytes are stored.
        """
        if record.offset < record.length or record.accepted:
            return record
        return await self.append(request, record, offset=record.offset, checksum=None)

    async def remove(self, request: Request, record: Record) -> None:
        """Delete an upload, but not its job; raises UploadBusy."""
        async with self._claims.hold(record.job_id):
            await self._records.drop(await self._records.read(record.job_id))
        await self._store.delete_many(prefix=keys.resumable_prefix(record.job_id))
        await end_upload(request, self._jobs, record.job_id)

    async def sweep(self) -> None:
        """Delete expired uploads regularly, until cancelled."""
        while True:
            try:
                await self.drop_expired()
            except StoreUnavailable as error:
                log.warning("expired uploads not dropped", error=str(error))
            await asyncio.sleep(_SWEEP_SECONDS)

    async def drop_expired(self) -> int:
        """Delete expired uploads; returns their number."""
        dropped = 0
        folders = [folder async for folder in self._store.folders(keys.RESUMABLE)]
        for folder in folders:
            try:
                record = await self._records.read(UUID(folder))
            except (UploadNotFound, ValueError):
                continue
            if record.expires_at <= datetime.now(UTC):
                await self._records.drop(record)
                dropped += 1
        if dropped:
            log.info("expired uploads deleted", uploads=dropped)
        return dropped
