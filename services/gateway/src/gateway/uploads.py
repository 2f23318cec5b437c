"""Uploads: the recording goes from the socket into the object store, and then the jobs service hears of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import structlog
from fastapi import Request, Response
from pydantic import ValidationError

from common import context
from common.events import JobOptions
from common.storage import ObjectStore, PutResult, StoreUnavailable, keys

from . import metrics
from .errors import BadUpstreamAnswer, InvalidForm, ServiceUnavailable, UploadTooLarge
from .file_names import display_name
from .forms import FormReader, Part, with_idle_timeout
from .upstreams import Upstream, relayed

log = structlog.get_logger(__name__)

FILE_FIELD = "file"
OPTION_FIELDS = frozenset(JobOptions.model_fields)
MAX_FIELD_BYTES = 16 * 1024
# What a form needs around the recording: heads of parts, boundaries and all option fields.
FORM_OVERHEAD = 256 * 1024
ANY_CONTENT_TYPE = "application/octet-stream"
_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


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
            options = _options(form.fields, limits.default_language)
            answer = await _create_job(request, jobs, form, options)
        except _Undecided as undecided:
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


class _Undecided(Exception):
    """The jobs service may or may not have accepted the job."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


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
    form.content_type = _content_type(part.content_type)
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


def _options(fields: dict[str, str], default_language: str) -> JobOptions:
    # An empty field is how an HTML form says "not chosen".
    chosen = {name: value for name, value in fields.items() if value.strip()}
    language = chosen.pop("language", default_language).strip().lower()
    if language != "auto":
        if not _LANGUAGE.fullmatch(language):
            raise InvalidForm("The field language must be an ISO 639 code such as en, or auto to have it detected.")
        chosen["language"] = language
    try:
        return JobOptions.model_validate(chosen)
    except ValidationError as error:
        errors = [{"location": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
        sentence = "; ".join(f"{item['location']}: {item['message']}" for item in errors)
        raise InvalidForm(f"The form is not valid: {sentence}.", errors=errors) from error


async def _create_job(request: Request, jobs: Upstream, form: _Form, options: JobOptions) -> httpx.Response:
    assert form.stored is not None
    body: dict[str, Any] = {
        "job_id": str(form.job_id),
        "file_name": form.file_name,
        "content_type": form.content_type,
        "size_bytes": form.stored.size,
        "sha256": form.stored.sha256,
        "source_key": form.key,
        "options": options.model_dump(mode="json"),
    }
    try:
        return await _post(request, jobs, body)
    except _Undecided:
        log.warning("no clear answer about the job; asking again")
    # Creating the same job twice gives the same job, so repeating is how to find out.
    try:
        return await _post(request, jobs, body)
    except ServiceUnavailable as error:
        raise _Undecided(error) from error


async def _post(request: Request, jobs: Upstream, body: dict[str, Any]) -> httpx.Response:
    """The jobs service's clear answer; raises _Undecided when it may have accepted the job without saying so."""
    try:
        answer = await jobs.send(request, "POST", "/jobs", json=body)
    except BadUpstreamAnswer as error:
        raise _Undecided(error) from error
    except ServiceUnavailable as error:
        if error.sent:
            raise _Undecided(error) from error
        raise
    if answer.is_server_error:
        raise _Undecided(
            ServiceUnavailable(
                "The jobs service failed; look at your jobs before you try again.", upstream=jobs.name, sent=True
            )
        )
    return answer


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


def _content_type(declared: str | None) -> str:
    kind = (declared or "").partition(";")[0].strip().lower()
    return kind if _CONTENT_TYPE.fullmatch(kind) else ANY_CONTENT_TYPE


def _too_large(max_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(f"The recording is larger than the {max_bytes} bytes accepted here.", max_bytes=max_bytes)
