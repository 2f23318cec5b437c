"""Uploads as a form: recordings are streamed into the object store, then the jobs service creates the jobs."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import structlog
from fastapi import Request, Response

from common import context
from common.events import keys
from common.storage import ObjectStore, PutResult, StoreUnavailable
from gateway import metrics
from gateway.errors import InvalidForm, UploadTooLarge
from gateway.relay.upstreams import Upstream, relayed

from .acceptance import (
    FIELDS,
    OPTION_FIELDS,
    Recording,
    Undecided,
    UploadLimits,
    choices_of,
    choices_so_far,
    content_type_of,
    create_jobs,
    options_of,
    require_admission,
)
from .file_names import display_name
from .idempotency import claimed
from .multipart import FormReader, Part, with_idle_timeout

log = structlog.get_logger(__name__)

FILE_FIELD = "file"
MAX_FILES = 20
MAX_FIELD_BYTES = 16 * 1024
# Of all fields together, since a field may be repeated.
MAX_FIELDS_BYTES = 64 * 1024
# What a form contains beside the recordings: heads of parts, boundaries and option fields.
FORM_OVERHEAD = 256 * 1024
# For larger recordings, admission is checked before the first part has arrived.
EARLY_BYTES = 1024 * 1024


@dataclass
class _Recording:
    """A recording of the form."""

    job_id: UUID
    file_name: str
    content_type: str
    stored: PutResult | None = None

    @property
    def key(self) -> str:
        return keys.source(self.job_id)

    def recording(self) -> Recording:
        assert self.stored is not None
        return Recording(self.job_id, self.file_name, self.content_type, self.stored.size, self.stored.sha256)


@dataclass
class _Form:
    """The parts of the form that were received."""

    fields: dict[str, str] = field(default_factory=dict)
    recordings: list[_Recording] = field(default_factory=list)

    def fingerprint(self) -> str:
        """A hash of the fields and files, independent of the form's encoding."""
        files = [[each.file_name, each.content_type, each.stored and each.stored.sha256] for each in self.recordings]
        document = json.dumps([sorted(self.fields.items()), files])
        return hashlib.sha256(document.encode()).hexdigest()


# Consumes the bytes of a file: stores them under a key, or only hashes them.
_Keep = Callable[[str, AsyncIterator[bytes], str], Awaitable[PutResult]]


async def receive(request: Request, store: ObjectStore, jobs: Upstream, limits: UploadLimits) -> Response:
    """Receive a multipart upload of one or several recordings, all or none.

    Answers 201 with the job, or with {"items": [...]} for several files, or the jobs service's problem. Memory use does
    not depend on the size. After a failure the stored objects are deleted, unless the jobs service may have created the
    jobs: then the objects stay, and cleanup deletes them if no job refers to them.
    With an Idempotency-Key that was answered before, nothing is stored and the first answer is repeated.
    Raises BadUpload, InvalidForm, UploadTooLarge, IdempotencyKeyInFlight, IdempotencyKeyReused, or, before the first
    byte is read, the jobs service's Refusal for a user over the quota.
    """
    _refuse_declared_size(request, limits.max_bytes)
    async with claimed(request, jobs) as claim:
        form = _Form()
        body = with_idle_timeout(_bounded(request.stream(), limits.max_bytes), limits.idle_seconds)
        reader = FormReader(request.headers.get("content-type"), body)
        if claim is not None and claim.answered is not None:
            await _read(reader, form, _digest, limits.max_bytes)
            answer = claim.answered.to(form.fingerprint())
            return Response(_shaped(answer), 201, {"Idempotency-Replayed": "true"}, "application/json")
        try:
            declared = max(0, _declared_size(request) - FORM_OVERHEAD)
            if declared > EARLY_BYTES:
                await require_admission(request, jobs, declared, {})

            async def admit() -> None:
                await require_admission(request, jobs, declared, choices_so_far(form.fields))

            await _read(reader, form, store.put_stream, limits.max_bytes, admit)
            choices = choices_of(form.fields, limits.default_language)
            named = None if claim is None else claim.document() | {"fingerprint": form.fingerprint()}
            created = await create_jobs(request, jobs, [each.recording() for each in form.recordings], choices, named)
        except Undecided as undecided:
            metrics.UPLOADS.labels("undecided").inc()
            if claim is not None:
                claim.undecided = True
            raise undecided.reason from undecided
        except BaseException:
            metrics.UPLOADS.labels("refused").inc()
            await _discard(store, form)
            raise
        if created.is_error:
            await _discard(store, form)
            metrics.UPLOADS.labels("refused").inc()
            return relayed(created)
        metrics.UPLOADS.labels("accepted").inc()
        if claim is not None:
            claim.fulfilled = True
        return Response(_shaped(created.json()), 201, media_type="application/json")


def _refuse_declared_size(request: Request, max_bytes: int) -> None:
    """Refuse the request before the first byte if its Content-Length is too large."""
    if _declared_size(request) > max_bytes + FORM_OVERHEAD:
        raise _too_large(max_bytes)


def _declared_size(request: Request) -> int:
    """The Content-Length of the body; 0 if there is none."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else 0


async def _bounded(body: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """The same blocks; raises UploadTooLarge for a body without Content-Length that is too large."""
    left = max_bytes + FORM_OVERHEAD
    async for block in body:
        left -= len(block)
        if left < 0:
            raise _too_large(max_bytes)
        yield block


async def _read(
    reader: FormReader, form: _Form, keep: _Keep, max_bytes: int, admit: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Read the form; `admit` is called before the first recording, and may raise."""
    left = max_bytes
    async for part in reader:
        if part.name == FILE_FIELD:
            if admit is not None and not form.recordings:
                await admit()
            left -= await _keep_file(reader, part, form, keep, (left, max_bytes))
        elif part.name not in FIELDS:
            raise InvalidForm(f"Unknown field {part.name!r}; send {FILE_FIELD} and {', '.join(sorted(FIELDS))}.")
        elif sum(map(len, form.fields.values())) > MAX_FIELDS_BYTES:
            raise InvalidForm(f"The fields of the form are longer than {MAX_FIELDS_BYTES} bytes.")
        elif part.name == "tags" and part.name in form.fields:
            form.fields[part.name] += f",{await _text(reader, part.name)}"
        elif part.name in form.fields:
            raise InvalidForm(f"The field {part.name} was sent twice.")
        else:
            form.fields[part.name] = await _text(reader, part.name)
        if part.name in OPTION_FIELDS:
            options_of(form.fields)
    if not form.recordings:
        raise InvalidForm(f"The field {FILE_FIELD} with the recording is missing.")


async def _keep_file(reader: FormReader, part: Part, form: _Form, keep: _Keep, limits: tuple[int, int]) -> int:
    if len(form.recordings) == MAX_FILES:
        raise InvalidForm(f"Send at most {MAX_FILES} recordings at a time.")
    if not part.file_name:
        raise InvalidForm(f"The field {FILE_FIELD} contains no file.")
    recording = _Recording(uuid4(), display_name(part.file_name), content_type_of(part.content_type))
    form.recordings.append(recording)
    with context.bound(job_id=recording.job_id):
        data = _limited(reader.data(), *limits)
        recording.stored = await keep(recording.key, data, recording.content_type)
        if keep is not _digest:
            log.info("recording stored", size_bytes=recording.stored.size)
    return recording.stored.size


async def _digest(_key: str, data: AsyncIterator[bytes], _content_type: str) -> PutResult:
    digest, size = hashlib.sha256(), 0
    async for block in data:
        digest.update(block)
        size += len(block)
    return PutResult(size=size, sha256=digest.hexdigest())


async def _limited(chunks: AsyncIterator[bytes], left: int, max_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        metrics.UPLOAD_BYTES.inc(len(chunk))
        if size > left:
            raise _too_large(max_bytes)
        yield chunk


async def _text(reader: FormReader, name: str) -> str:
    value = bytearray()
    async for chunk in reader.data():
        value += chunk
        if len(value) > MAX_FIELD_BYTES:
            raise InvalidForm(f"The field {name} is longer than {MAX_FIELD_BYTES} bytes.")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidForm(f"The field {name} is not UTF-8 text.") from error


def _shaped(created: dict[str, Any]) -> bytes:
    """One job as an object, several as a list."""
    items = created["items"]
    return json.dumps(items[0] if len(items) == 1 else {"items": items}, ensure_ascii=False).encode()


async def _discard(store: ObjectStore, form: _Form) -> None:
    """Delete the stored objects, even while the request is being cancelled."""
    stored = [recording.key for recording in form.recordings if recording.stored is not None]

    async def delete() -> None:
        for key in stored:
            try:
                await store.delete(key)
            except StoreUnavailable:
                log.warning("object not deleted", key=key)

    if stored:
        await asyncio.shield(asyncio.create_task(delete()))


def _too_large(max_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(f"The upload is larger than the {max_bytes} bytes accepted here.", max_bytes=max_bytes)
