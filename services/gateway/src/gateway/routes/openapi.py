"""Parts of the OpenAPI document that types do not give: the upload form, media types and problems."""

from copy import deepcopy
from typing import Any

from common.events import MOST_TRACKS
from common.web import Problem, problems
from common.web.answers import Responses
from gateway.errors import BadUpstreamAnswer, ServiceUnavailable
from gateway.files.downloads import CONTENT_TYPES


def merged(*parts: Responses) -> Responses:
    """The answers of all parts; answers with the same status get the examples of all."""
    together: Responses = {}
    for part in parts:
        for status, response in part.items():
            known = together.setdefault(status, deepcopy(response)).setdefault("content", {})
            for kind, content in response.get("content", {}).items():
                known.setdefault(kind, deepcopy(content))
                if "examples" in content:
                    known[kind].setdefault("examples", {}).update(content["examples"])
    return together


def one_or_several(several: Responses) -> Responses:
    """Return the answers of the creation in jobs, with the job itself instead of a list of one."""
    either = deepcopy(several)
    either[201]["description"] = "The job; for several files all jobs, in the order of the files."
    body = either[201]["content"]["application/json"]
    body["schema"] = {"anyOf": [{"$ref": "#/components/schemas/jobs.JobView"}, body["schema"]]}
    return either


def signed_in(*kinds: type[Problem]) -> Responses:
    """Problems of operations that need a token and call another service."""
    return problems(*kinds, BadUpstreamAnswer, ServiceUnavailable)


def _form(media_type: str, required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "additionalProperties": False, "properties": properties}
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


UPLOAD_FORM = _form(
    "multipart/form-data",
    ["file"],
    {
        "file": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "minItems": 1,
            "maxItems": 20,
            "description": "The recordings: audio, or video with an audio track. Repeat the field for several.",
        },
        "model": {"type": "string", "default": "base", "examples": ["base"]},
        "language": {
            "type": "string",
            "default": "auto",
            "description": "ISO 639 code (also with a region: pt-BR), English name, or auto for detection; default:"
            " WHISPER_LANGUAGE, else auto.",
            "examples": ["en"],
        },
        "task": {"type": "string", "enum": ["transcribe", "translate"], "default": "transcribe"},
        "word_timestamps": {"type": "boolean", "default": False},
        "initial_prompt": {"type": "string", "description": "Text that sets the style and spelling."},
        "hotwords": {
            "type": "string",
            "maxLength": 1000,
            "description": "Names and terms that may occur. The model reads the last 220 tokens of prompt and terms.",
        },
        "multilingual": {
            "type": "boolean",
            "default": False,
            "description": "Detect the language of every window of up to 30 s; segments then have a language.",
        },
        "track": {
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_TRACKS}, {"const": "mix"}],
            "description": "The audio track to transcribe, counted from 1, or mix for all tracks together; default: "
            "the file's default track if it has speech, else the first with speech.",
        },
        "priority": {"type": "string", "enum": ["low", "normal", "high"], "default": "normal"},
        "tags": {"type": "string", "description": "Up to 20, separated by commas.", "examples": ["interview,2026"]},
        "callback_url": {"type": "string", "format": "uri", "description": "Stored with the job for later use."},
    },
)
UPLOAD_FORM["parameters"] = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "A unique key of this upload, such as a UUID: a repetition creates no second job.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    }
]

_FILES: dict[str, dict[str, Any]] = {"json": {"type": "object"}, "docx": {"type": "string", "format": "binary"}}

_SEGMENT = {"start": 0.4, "end": 2.1, "text": "Good morning, everybody."}
_EXAMPLES: dict[str, Any] = {
    "txt": "Good morning, everybody.\n",
    "srt": "1\n00:00:00,400 --> 00:00:02,100\nGood morning, everybody.\n",
    "vtt": "WEBVTT\n\n00:00.400 --> 00:02.100\nGood morning, everybody.\n",
    "tsv": "start\tend\ttext\n400\t2100\tGood morning, everybody.\n",
    "json": {"language": "en", "duration": 301.4, "text": "Good morning, everybody.", "segments": [_SEGMENT]},
}

TRANSCRIPT: Responses = {
    200: {
        "description": "The transcript as a file.",
        "headers": {
            "Content-Disposition": {"schema": {"type": "string"}, "description": "The file's name (RFC 6266)."}
        },
        "content": {
            content_type.partition(";")[0]: {"schema": _FILES.get(fmt, {"type": "string"})}
            | ({"example": _EXAMPLES[fmt]} if fmt in _EXAMPLES else {})
            for fmt, content_type in CONTENT_TYPES.items()
        },
    }
}
