"""Steps that all uploads share: the client's choices, admission, and the creation of jobs."""

import json
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

from common.events import JobOptions, keys
from gateway.edge.credentials import confirm_access
from gateway.errors import BadUpstreamAnswer, InvalidForm, ServiceUnavailable
from gateway.relay.upstreams import Refusal, Upstream
from models.languages import UnknownLanguage, language_code, language_for, languages_of

log = structlog.get_logger(__name__)

#: The fields that a client may send with a recording.
OPTION_FIELDS = frozenset(JobOptions.model_fields)
FIELDS = OPTION_FIELDS | {"priority", "tags", "callback_url"}
_LONG = {"initial_prompt", "hotwords"}
ANY_CONTENT_TYPE = "application/octet-stream"
_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")


class Undecided(Exception):
    """It is unknown whether the jobs service created the jobs."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bytes of all recordings of a form, idle seconds, and the default language."""

    max_bytes: int
    idle_seconds: float
    default_language: str = "auto"


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that is stored as the source of a job."""

    job_id: UUID
    file_name: str
    content_type: str
    size: int
    sha256: str


def options_of(fields: Mapping[str, str], default_language: str = "auto") -> JobOptions:
    """The options in the fields; raises InvalidForm."""
    # HTML forms send an empty field for an option that is not chosen.
    chosen = {name: value for name, value in fields.items() if name in OPTION_FIELDS and value.strip()}
    language = chosen.pop("language", "").strip()
    try:
        if language.lower() not in ("", "auto"):
            # The model may be in a later field than the language.
            chosen["language"] = (
                language_for(chosen["model"], language) if "model" in chosen else language_code(language)
            )
        options = JobOptions.model_validate(chosen)
    except UnknownLanguage as error:
        problem = {"location": "language", "message": str(error)}
        raise InvalidForm(f"The form is not valid: {error}", errors=[problem]) from error
    except ValidationError as error:
        errors = [
            {"location": ".".join(map(str, item["loc"])), "message": item["msg"].removeprefix("Value error, ")}
            for item in error.errors()
        ]
        sentence = "; ".join(f"{item['location']}: {item['message']}" for item in errors)
        raise InvalidForm(f"The form is not valid: {sentence}.", errors=errors) from error
    if not language and default_language in languages_of(options.model):
        return options.model_copy(update={"language": default_language})
    return options


def choices_of(fields: Mapping[str, str], default_language: str) -> dict[str, Any]:
    """All choices in the fields, in the format of the jobs service; raises InvalidForm."""
    chosen = {name: value for name, value in fields.items() if value.strip()}
    options = options_of({"model": JobOptions().model} | chosen, default_language)
    return {"options": options.model_dump(mode="json"), **_further(fields)}


def choices_so_far(fields: Mapping[str, str]) -> dict[str, Any]:
    """The same for an incomplete form: without defaults, and without long texts, which are valid for every model.

    Raises InvalidForm.
    """
    options = options_of(fields).model_dump(mode="json", exclude_unset=True, exclude=_LONG)
    return {"options": options, **_further(fields)}


def _further(fields: Mapping[str, str]) -> dict[str, Any]:
    chosen = {name: fields.get(name, "").strip() for name in ("priority", "callback_url")}
    return {
        "tags": [tag for tag in fields.get("tags", "").split(",") if tag.strip()],
        **{name: value for name, value in chosen.items() if value},
    }


def content_type_of(declared: str | None) -> str:
    """The declared media type without parameters; ANY_CONTENT_TYPE if it is not valid."""
    kind = (declared or "").partition(";")[0].strip().lower()
    return kind if _CONTENT_TYPE.fullmatch(kind) else ANY_CONTENT_TYPE


async def require_admission(request: Request, jobs: Upstream, size: int, choices: Mapping[str, Any]) -> None:
    """Ask the jobs service whether it would accept a recording of at least this size with these choices.

    Raises its Refusal if not. Nothing is reserved, the decision is made when the job is created. But a client over its
    quota, or with invalid choices, gets the error before it sends gigabytes.
    """
    asked = [("size_bytes", str(size)), ("choices", json.dumps(choices))]
    answer = await jobs.send(request, "GET", "/admissions", params=asked)
    if answer.is_error:
        raise Refusal(answer)


async def begin_upload(
    request: Request, jobs: Upstream, job_id: UUID, *, size: int, lifetime: timedelta, choices: Mapping[str, Any]
) -> None:
    """Add the bytes of a resumable upload to the user's quota; raises the jobs service's Refusal."""
    body = {"job_id": str(job_id), "size_bytes": size, "lifetime_seconds": lifetime.total_seconds(), **choices}
    answer = await jobs.send(request, "POST", "/uploads", json=body)
    if answer.is_error:
        raise Refusal(answer)


async def end_upload(request: Request, jobs: Upstream, job_id: UUID) -> None:
    """Remove them from the quota; if the request fails, they count until the upload would have expired."""
    try:
        answer = await jobs.send(request, "DELETE", f"/uploads/{job_id}")
    except (ServiceUnavailable, BadUpstreamAnswer) as error:
        log.warning("end of upload not recorded", error=str(error))
    else:
        if answer.is_error:
            log.warning("end of upload refused", status=answer.status_code)


async def create_jobs(
    request: Request,
    jobs: Upstream,
    recordings: Sequence[Recording],
    choices: Mapping[str, Any],
    claim: dict[str, str] | None = None,
) -> httpx.Response:
    """Create jobs, all or none, under a claimed Idempotency-Key if there is one.

    Returns the answer of the jobs service; raises Undecided if it is unknown whether the jobs were created.
    Raises AccessEnded if the caller's access was revoked during the upload.
    The request is idempotent, so it is retried once.
    """
    await confirm_access(request)
    body = {"jobs": [{**_described(recording), **choices} for recording in recordings], "claim": claim}
    try:
        return await _post(request, jobs, body)
    except Undecided:
        log.warning("job creation undecided, retrying")
    try:
        return await _post(request, jobs, body)
    except ServiceUnavailable as error:
        raise Undecided(error) from error


def _described(recording: Recording) -> dict[str, Any]:
    return {
        "job_id": str(recording.job_id),
        "file_name": recording.file_name,
        "content_type": recording.content_type,
        "size_bytes": recording.size,
        "sha256": recording.sha256,
        "source_key": keys.source(recording.job_id),
    }


async def _post(request: Request, jobs: Upstream, body: dict[str, Any]) -> httpx.Response:
    """The answer of the jobs service; raises Undecided if it may have created the jobs without an answer."""
    try:
        answer = await jobs.send(request, "POST", "/jobs", json=body)
    except BadUpstreamAnswer as error:
        raise Undecided(error) from error
    except ServiceUnavailable as error:
        if error.sent:
            raise Undecided(error) from error
        raise
    if answer.is_server_error:
        raise Undecided(
            ServiceUnavailable(
                "The jobs service failed and may have created the job; check your jobs before you try again.",
                upstream=jobs.name,
                sent=True,
            )
        )
    return answer
