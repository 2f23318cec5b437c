"""What the OpenAPI document says beyond types: forms that are read by hand, media types and problems by code."""

from typing import Any, ClassVar

from common.web import Problem, Unauthorized
from common.web.errors import MEDIA_TYPE

from .downloads import CONTENT_TYPES
from .errors import ServiceUnavailable

Responses = dict[int | str, dict[str, Any]]


class UpstreamProblem(Problem):
    """A problem that a service behind the gateway states and the gateway passes on."""

    service: ClassVar[str]


class JobNotFound(UpstreamProblem):
    """There is no job with this id, or it is somebody else's."""

    status, code, title, service = 404, "job_not_found", "No such job", "jobs"


class ModelNotAvailable(UpstreamProblem):
    """No worker serves this model at the moment."""

    status, code, title, service = 422, "model_not_available", "Model not available", "jobs"


class MetadataNotFound(UpstreamProblem):
    """The transcript is not there or not enriched yet."""

    status, code, title, service = 404, "metadata_not_found", "No metadata", "metadata"


class InvalidCredentials(UpstreamProblem):
    """The user name or the password is wrong."""

    status, code, title, service = 401, "invalid_credentials", "Wrong user name or password", "auth"


class TooManyAttempts(UpstreamProblem):
    """Too many failed logins for this user from this address."""

    status, code, title, service = 429, "too_many_attempts", "Too many failed logins", "auth"


def problems(*kinds: type[Problem]) -> Responses:
    """The problems that an operation can answer with, described by status with one example per code."""
    responses: Responses = {}
    for kind in kinds:
        entry = responses.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}, "examples": {}}},
            },
        )
        entry["content"][MEDIA_TYPE]["examples"][kind.code] = {"value": _example(kind)}
    return responses


def signed_in(*kinds: type[Problem]) -> Responses:
    """The same for operations that need a token and another service."""
    return problems(Unauthorized, *kinds, ServiceUnavailable)


def _example(kind: type[Problem]) -> dict[str, Any]:
    return {
        "type": f"urn:verbatim:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": " ".join((kind.__doc__ or "").split()),
        "code": kind.code,
        "service": kind.service if issubclass(kind, UpstreamProblem) else "gateway",
        "request_id": "8d3c0a8e5a0f4d9c9f3f6f1f0f6f7a11",
    }


def _form(media_type: str, required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "additionalProperties": False, "properties": properties}
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


LOGIN_FORM = _form(
    "application/x-www-form-urlencoded",
    ["username", "password"],
    {
        "grant_type": {"type": "string", "enum": ["password"], "default": "password"},
        "username": {"type": "string", "maxLength": 150, "examples": ["admin"]},
        "password": {"type": "string", "format": "password", "maxLength": 1024},
    },
)

UPLOAD_FORM = _form(
    "multipart/form-data",
    ["file"],
    {
        "file": {"type": "string", "format": "binary", "description": "The recording: any audio, or video with sound."},
        "model": {"type": "string", "default": "base", "examples": ["base"]},
        "language": {
            "type": "string",
            "default": "auto",
            "description": "ISO 639 code, or auto to have it detected; left out: WHISPER_LANGUAGE decides, else auto.",
            "examples": ["en"],
        },
        "task": {"type": "string", "enum": ["transcribe", "translate"], "default": "transcribe"},
        "word_timestamps": {"type": "boolean", "default": False},
        "initial_prompt": {"type": "string", "description": "Text that sets style and spelling."},
    },
)

TRANSCRIPT: Responses = {
    200: {
        "description": "The transcript as a file.",
        "headers": {
            "Content-Disposition": {"schema": {"type": "string"}, "description": "The file's name (RFC 6266)."}
        },
        "content": {
            content_type.partition(";")[0]: {"schema": {"type": "string"} if fmt != "json" else {"type": "object"}}
            for fmt, content_type in CONTENT_TYPES.items()
        },
    }
}
