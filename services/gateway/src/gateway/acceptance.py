"""The end of every kind of upload: what the client chose is read, and the jobs service hears of the recording."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import structlog
from fastapi import Request
from pydantic import ValidationError

from common.events import JobOptions
from common.storage import keys

from .errors import BadUpstreamAnswer, InvalidForm, ServiceUnavailable
from .upstreams import Refusal, Upstream

log = structlog.get_logger(__name__)

#: The fields that a client may send beside the recording.
OPTION_FIELDS = frozenset(JobOptions.model_fields)
FIELDS = OPTION_FIELDS | {"priority", "tags", "callback_url"}
ANY_CONTENT_TYPE = "application/octet-stream"
_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


class Undecided(Exception):
    """The jobs service may or may not have accepted the job."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that is stored under the key of the job's source."""

    job_id: UUID
    file_name: str
    content_type: str
    size: int
    sha256: str


def options_of(fields: Mapping[str, str], default_language: str) -> JobOptions:
    """The options that the fields choose; raises InvalidForm."""
    # An empty field is how an HTML form says "not chosen".
    chosen = {name: value for name, value in fields.items() if name in OPTION_FIELDS and value.strip()}
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


def choices_of(fields: Mapping[str, str], default_language: str) -> dict[str, Any]:
    """Everything that the fields choose, as the jobs service reads it; raises InvalidForm for impossible options."""
    chosen = {name: fields.get(name, "").strip() for name in ("priority", "callback_url")}
    return {
        "options": options_of(fields, default_language).model_dump(mode="json"),
        "tags": [tag for tag in fields.get("tags", "").split(",") if tag.strip()],
        **{name: value for name, value in chosen.items() if value},
    }


def content_type_of(declared: str | None) -> str:
    """The media type that the client declared, without parameters, if it is one."""
    kind = (declared or "").partition(";")[0].strip().lower()
    return kind if _CONTENT_TYPE.fullmatch(kind) else ANY_CONTENT_TYPE


async def require_admission(request: Request, jobs: Upstream, size: int) -> None:
    """Ask whether a recording of so many bytes, or more, would be taken; raises the jobs service's Refusal if not.

    Nothing is reserved: what is decided is decided when the job is created. But a client who has too much already is
    told so before it sends gigabytes.
    """
    answer = await jobs.send(request, "GET", "/admissions", params=[("size_bytes", str(size))])
    if answer.is_error:
        raise Refusal(answer)


async def begin_upload(request: Request, jobs: Upstream, job_id: UUID, size: int, lifetime: timedelta) -> None:
    """Have the bytes of a resumable upload counted from now on; raises the jobs service's Refusal."""
    body = {"job_id": str(job_id), "size_bytes": size, "lifetime_seconds": lifetime.total_seconds()}
    answer = await jobs.send(request, "POST", "/uploads", json=body)
    if answer.is_error:
        raise Refusal(answer)


async def end_upload(request: Request, jobs: Upstream, job_id: UUID) -> None:
    """Have them counted no more; if that cannot be said now, they count until the upload would have expired."""
    try:
        answer = await jobs.send(request, "DELETE", f"/uploads/{job_id}")
    except (ServiceUnavailable, BadUpstreamAnswer) as error:
        log.warning("the end of an upload could not be told", error=str(error))
    else:
        if answer.is_error:
            log.warning("the end of an upload was refused", status=answer.status_code)


async def create_job(request: Request, jobs: Upstream, recording: Recording, options: JobOptions) -> httpx.Response:
    """The jobs service's answer, whatever it is; raises Undecided when nobody knows whether it accepted the job.

    Creating the same job twice gives the same job, so anybody who does not know may ask again.
    """
    body = _described(recording) | {"options": options.model_dump(mode="json")}
    return await _asked_twice(request, jobs, "/jobs", body)


async def create_jobs(
    request: Request,
    jobs: Upstream,
    recordings: Sequence[Recording],
    choices: dict[str, Any],
    claim: dict[str, str] | None,
) -> httpx.Response:
    """The same for several recordings, all or none, under a claimed Idempotency-Key if there is one."""
    body = {"jobs": [_described(recording) | choices for recording in recordings], "claim": claim}
    return await _asked_twice(request, jobs, "/jobs/batch", body)


def _described(recording: Recording) -> dict[str, Any]:
    return {
        "job_id": str(recording.job_id),
        "file_name": recording.file_name,
        "content_type": recording.content_type,
        "size_bytes": recording.size,
        "sha256": recording.sha256,
        "source_key": keys.source(recording.job_id),
    }


async def _asked_twice(request: Request, jobs: Upstream, path: str, body: dict[str, Any]) -> httpx.Response:
    try:
        return await _post(request, jobs, path, body)
    except Undecided:
        log.warning("no clear answer about the job; asking again")
    try:
        return await _post(request, jobs, path, body)
    except ServiceUnavailable as error:
        raise Undecided(error) from error


async def _post(request: Request, jobs: Upstream, path: str, body: dict[str, Any]) -> httpx.Response:
    """The jobs service's clear answer; raises Undecided when it may have accepted the job without saying so."""
    try:
        answer = await jobs.send(request, "POST", path, json=body)
    except BadUpstreamAnswer as error:
        raise Undecided(error) from error
    except ServiceUnavailable as error:
        if error.sent:
            raise Undecided(error) from error
        raise
    if answer.is_server_error:
        raise Undecided(
            ServiceUnavailable(
                "The jobs service failed; look at your jobs before you try again.", upstream=jobs.name, sent=True
            )
        )
    return answer
