"""Uploads: the recording goes from the socket into the object store, and then the jobs service hears of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import structlog
from fastapi import Request, Response

from common import context
from common.storage import ObjectStore, PutResult, StoreUnavailable, keys

from . import metrics
from .acceptance import ANY_CONTENT_TYPE, OPTION_FIELDS, Recording, Undecided, content_type_of, create_job, options_of
from .errors import InvalidForm, UploadTooLarge
from .file_names import display_name
from .forms import FormReader, Part, with_idle_timeout
from .upstreams import Upstream, relayed

log = structlog.get_logger(__name__)

FILE_FIELD = "file"
MAX_FIELD_BYTES = 16 * 1024
# What a form needs around the recording: heads of parts, boundaries and all option fields.
FORM_OVERHEAD = 256 * 1024


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bytes a recording may have, seconds that may pass without one, and the language of forms that name none."""

    max_bytes: int
    idle_seconds: float
    default_language: str = "auto"


@dataclass
class _Form:
    """What has arrived so far."""

    job_id: UUID
    fields: dict[str, str] = field(default_factory=dict)
    file_name: str = ""
    content_type: str = ANY_CONTENT_TYPE
    stored: PutResult | None = None

    @property
    def key(self) -> str:
        return keys.source(self.job_id)

    def recording(self) -> Recording:
        assert self.stored is not None
        return Recording(self.job_id, self.file_name, self.content_type, self.stored.size, self.stored.sha256)


async def receive(request: Request, store: ObjectStore, jobs: Upstream, limits: UploadLimits) -> Response:
    """Take in a multipart upload and answer as the jobs service does: 201 with the job, or its problem.

    Memory stays flat for any size. Whatever goes wrong, no object stays behind, unless the jobs service may have
    accepted the job and cannot be asked: then the object stays, and cleanup collects it if nobody owns it.
    Raises BadUpload, InvalidForm or UploadTooLarge.
    """
    _refuse_declared_size(request, limits.max_bytes)
    form = _Form(uuid4())
    with context.bound(job_id=form.job_id):
        try:
            body = with_idle_timeout(request.stream(), limits.idle_seconds)
            await _read(FormReader(request.headers.get("content-type"), body), form, store, limits.max_bytes)
            options = options_of(form.fields, limits.default_language)
            answer = await create_job(request, jobs, form.recording(), options)
        except Undecided as undecided:
            metrics.UPLOADS.labels("undecided").inc()
            raise undecided.reason from undecided
        except BaseException:
            metrics.UPLOADS.labels("refused").inc()
            await _discard(store, form)
            raise
        if answer.is_error:
            await _discard(store, form)
        metrics.UPLOADS.labels("refused" if answer.is_error else "accepted").inc()
        return relayed(answer)


def _refuse_declared_size(request: Request, max_bytes: int) -> None:
    """Say no before the first byte when the client announces too many."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes + FORM_OVERHEAD:
        raise _too_large(max_bytes)


async def _read(reader: FormReader, form: _Form, store: ObjectStore, max_bytes: int) -> None:
    async for part in reader:
        if part.name == FILE_FIELD:
            await _store_file(reader, part, form, store, max_bytes)
        elif part.name not in OPTION_FIELDS:
            raise InvalidForm(
                f"There is no field {part.name!r}; send {FILE_FIELD} and {', '.join(sorted(OPTION_FIELDS))}."
            )
        elif part.name in form.fields:
            raise InvalidForm(f"The field {part.name} was sent twice.")
        else:
            form.fields[part.name] = await _text(reader, part.name)
    if form.stored is None:
        raise InvalidForm(f"The field {FILE_FIELD} with the recording is missing.")


async def _store_file(reader: FormReader, part: Part, form: _Form, store: ObjectStore, max_bytes: int) -> None:
    if form.stored is not None:
        raise InvalidForm("Send one recording at a time.")
    if not part.file_name:
        raise InvalidForm(f"The field {FILE_FIELD} holds no file.")
    form.file_name = display_name(part.file_name)
    form.content_type = content_type_of(part.content_type)
    form.stored = await store.put_stream(form.key, _limited(reader.data(), max_bytes), form.content_type)
    log.info("recording stored", size_bytes=form.stored.size)


async def _limited(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        metrics.UPLOAD_BYTES.inc(len(chunk))
        if size > max_bytes:
            raise _too_large(max_bytes)
        yield chunk


async def _text(reader: FormReader, name: str) -> str:
    value = b""
    async for chunk in reader.data():
        value += chunk
        if len(value) > MAX_FIELD_BYTES:
            raise InvalidForm(f"The field {name} is longer than {MAX_FIELD_BYTES} bytes.")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidForm(f"The field {name} is not UTF-8 text.") from error


async def _discard(store: ObjectStore, form: _Form) -> None:
    """Delete what was stored; finishes even while the request is being cancelled."""
    if form.stored is None:
        return

    async def delete() -> None:
        try:
            await store.delete(form.key)
        except StoreUnavailable:
            log.warning("object left behind for cleanup", key=form.key)

    await asyncio.shield(asyncio.create_task(delete()))


def _too_large(max_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(f"The recording is larger than the {max_bytes} bytes accepted here.", max_bytes=max_bytes)
