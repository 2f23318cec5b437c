"""Descriptions of responses in an OpenAPI document: problems by their codes."""

from collections.abc import Iterator, Mapping
from typing import Any

from .errors import MEDIA_TYPE, BadRequest, InvalidRequest, Problem, Unauthorized
from .identity import NotAdmin

Responses = dict[int | str, dict[str, Any]]

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_SCHEMA = {"$ref": "#/components/schemas/ProblemDocument"}


def problems(*kinds: type[Problem]) -> Responses:
    """The problems of an operation for `responses=`: by status, with one example per code.

    The frame adds these itself: a missing or invalid token, a missing administrator role, an invalid request, and a
    body that cannot be parsed.
    """
    responses: Responses = {}
    for kind in kinds:
        entry = responses.setdefault(kind.status, {"description": kind.title, "content": {}})
        described = entry["content"].setdefault(MEDIA_TYPE, {"schema": dict(_SCHEMA), "examples": {}})
        described["examples"][kind.code] = {"value": _example(kind)}
    return responses


def described(document: dict[str, Any], service: str) -> dict[str, Any]:
    """FastAPI's document, with errors described as problem documents of the service."""
    for operation in operations(document):
        responses = operation["responses"]
        default = responses["default"]["content"]
        default[MEDIA_TYPE] = default.pop("application/json")
        if "parameters" in operation or "requestBody" in operation:
            add_problems(operation, InvalidRequest)
        if "requestBody" in operation:
            add_problems(operation, BadRequest)
        if roles := [role for wanted in operation.get("security", []) for role in wanted.values()]:
            add_problems(operation, Unauthorized)
            if ["admin"] in roles:
                add_problems(operation, NotAdmin)
        for response in responses.values():
            for example in response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).values():
                example["value"].setdefault("service", service)
    return document


def add_problems(operation: dict[str, Any], *kinds: type[Problem]) -> None:
    """Add problems to an operation of a document; existing examples stay."""
    for status, response in problems(*kinds).items():
        present = operation["responses"].setdefault(str(status), response)
        content = present.setdefault("content", {}).setdefault(MEDIA_TYPE, response["content"][MEDIA_TYPE])
        for code, example in response["content"][MEDIA_TYPE]["examples"].items():
            content.setdefault("examples", {}).setdefault(code, example)


def operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every operation of a document."""
    for path in document.get("paths", {}).values():
        yield from (operation for method, operation in path.items() if method in _METHODS)


def _example(kind: type[Problem]) -> dict[str, Any]:
    return {
        "type": f"urn:verbatim:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": " ".join((kind.__doc__ or "").split()),
        "code": kind.code,
        "request_id": "8d3c0a8e5a0f4d9c9f3f6f1f0f6f7a11",
    }
