"""Errors that are sent as problem documents (RFC 9457), and their translation to HTTP responses."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request, WebSocket
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

MEDIA_TYPE = "application/problem+json"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Problem(Exception):
    """An error with a stable code and an HTTP status; services derive their errors from the subclasses below.

    `detail` is a sentence that users see; `extensions` become members of the document.
    """

    status: int = 500
    code: str = "internal_error"
    title: str = "Internal error"
    default_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = {**self.default_headers, **(headers or {})}
        self.extensions = extensions


class BadRequest(Problem):
    """The request cannot be parsed."""

    status, code, title = 400, "bad_request", "Bad request"


class Unauthorized(Problem):
    """Authentication is missing or invalid."""

    status, code, title = 401, "unauthorized", "Not signed in"
    default_headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(Problem):
    """The user has no permission for this operation."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFound(Problem):
    """The resource does not exist, or belongs to another user."""

    status, code, title = 404, "not_found", "Not found"


class Conflict(Problem):
    """The state of the resource does not allow this operation."""

    status, code, title = 409, "conflict", "Conflict"


class Gone(Problem):
    """The resource existed and was deleted."""

    status, code, title = 410, "gone", "Gone"


class TooLarge(Problem):
    """The request is larger than the limit."""

    status, code, title = 413, "too_large", "Too large"


class Invalid(Problem):
    """The request is well-formed, but its values are not valid."""

    status, code, title = 422, "invalid", "Not valid"


class TooManyRequests(Problem):
    """The client sends too many requests; the Retry-After header says when to try again."""

    status, code, title = 429, "too_many_requests", "Too many requests"


class QuotaExceeded(TooManyRequests):
    """A limit of the user is reached: `limit` names it, with `used`, `allowed` and, if it resets, `resets_at`."""

    code = "quota_exceeded"
    title = "Quota exceeded"

    def __init__(
        self,
        detail: str,
        *,
        limit: str,
        used: float,
        allowed: float,
        resets_at: datetime | None = None,
        retry_after: int | None = None,
    ) -> None:
        """`retry_after` is in seconds, for limits that reset."""
        super().__init__(
            detail,
            headers=None if retry_after is None else {"Retry-After": str(retry_after)},
            limit=limit,
            used=used,
            allowed=allowed,
            resets_at=resets_at,
        )


class UpstreamFailed(Problem):
    """A service behind this one sent an invalid response."""

    status, code, title = 502, "upstream_failed", "A service behind this one failed"


class Unavailable(Problem):
    """A dependency is temporarily unavailable."""

    status, code, title = 503, "unavailable", "Not available"
    default_headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class ProblemDocument(BaseModel):
    """The body of every error response (RFC 9457); some problems have additional members."""

    type: str = Field(examples=["urn:verbatim:problem:not_found"])
    title: str
    status: int
    detail: str
    code: str = Field(description="A stable code for programs.")
    service: str = Field(description="The service that reports the problem.")
    request_id: str | None


def problem_response(problem: Problem, *, service: str, request_id: str | None) -> JSONResponse:
    """The response for a problem; extensions cannot replace the standard members."""
    fixed = {
        "type": f"urn:verbatim:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }
    body = {**fixed, "service": service, "request_id": request_id, **problem.extensions, **fixed}
    return JSONResponse(
        jsonable_encoder(body), status_code=problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def as_problem(error: Exception) -> Problem | None:
    """The problem for an expected error, None for an unexpected one."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError | WebSocketRequestValidationError):
        return _invalid_request(error)
    if isinstance(error, HTTPException):
        return _from_http_exception(error)
    return None


def install_error_handlers(app: FastAPI, service: str) -> None:
    """Answer expected errors of routes with problem documents.

    Unexpected errors and errors of WebSockets are left to the middleware, which knows whether a response has started.
    """

    async def answer(connection: Request, error: Exception) -> JSONResponse:
        problem = as_problem(error)
        if problem is None or isinstance(connection, WebSocket):
            raise error
        connection.state.problem = problem
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            problem.headers = {**problem.headers, "Allow": ", ".join(_allowed(connection))}
        return problem_response(problem, service=service, request_id=connection.state.request_id)

    for expected in (Problem, RequestValidationError, WebSocketRequestValidationError, HTTPException):
        app.add_exception_handler(expected, answer)


def _allowed(request: Request) -> list[str]:
    """The methods of all routes of the path; the router reports those of the first route only."""
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


class InvalidRequest(Invalid):
    """A part of the request does not match the API's schema; `errors` names each."""

    code = "invalid_request"
    title = "The request is not valid"


def _invalid_request(error: RequestValidationError | WebSocketRequestValidationError) -> Problem:
    # Without the values that were sent: one may be a password.
    errors = [
        {
            "location": ".".join(str(part) for part in item["loc"]),
            "message": item["msg"].removeprefix("Value error, "),
            "type": item["type"],
        }
        for item in error.errors()
    ]
    return InvalidRequest("; ".join(f"{item['location']}: {item['message']}" for item in errors), errors=errors)


def _from_http_exception(error: HTTPException) -> Problem:
    kind = _BY_STATUS.get(error.status_code, Problem)
    problem = kind(str(error.detail), headers=error.headers)
    if kind is Problem:
        problem.status = error.status_code
        problem.code = HTTPStatus(error.status_code).name.lower()
        problem.title = HTTPStatus(error.status_code).phrase
    return problem


_BY_STATUS: dict[int, type[Problem]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        Conflict,
        Gone,
        TooLarge,
        Invalid,
        TooManyRequests,
        UpstreamFailed,
        Unavailable,
    )
}
