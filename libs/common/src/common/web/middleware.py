"""The middleware of every request: ids and trace, access log, metrics and the response to unexpected errors.

Plain ASGI, so that streamed bodies and WebSockets pass through untouched.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from common import context

from .errors import Problem, as_problem, problem_response

log = structlog.get_logger(__name__)

REQUESTS = Counter("verbatim_http_requests_total", "Answered requests.", ["service", "method", "route", "status"])
SECONDS = Histogram(
    "verbatim_http_request_seconds",
    "Time from the request to the end of its answer.",
    ["service", "method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
IN_PROGRESS = Gauge("verbatim_http_requests_in_progress", "Requests being answered.", ["service"])
SOCKETS = Gauge("verbatim_websockets_open", "Open WebSocket connections.", ["service"])

# Other methods are "other": a client must not create labels.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET_PATHS = ("/health", "/metrics")
_ANSWERED, _CLOSED = "request answered", "websocket closed"
_CLIENT_GONE = 499  # as nginx counts them
_INTERNAL = "Internal error. Report the request id to an administrator: the log names the cause."
_CLOSE_REASON_BYTES = 123  # what a close frame has room for


@dataclass
class _Exchange:
    """One request or WebSocket connection and the progress of its response."""

    scope: Scope
    request_id: str
    echoed: dict[str, str]
    started: float = field(default_factory=time.perf_counter)
    status: int | None = None  # None until the answer started
    closed: bool = False
    problem: Problem | None = None

    @property
    def is_socket(self) -> bool:
        return bool(self.scope["type"] == "websocket")

    @property
    def method(self) -> str:
        if self.is_socket:
            return "WEBSOCKET"
        method = self.scope["method"]
        return method if method in _METHODS else "other"

    @property
    def route(self) -> str:
        route = self.scope.get("route")
        return getattr(route, "path_format", None) or getattr(route, "path", None) or "unmatched"


class RequestMiddleware:
    """Wraps the whole application of one service."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; an error after the start of a response is raised, so that the server aborts it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = context.sane_id(headers.get("x-request-id")) or context.new_correlation_id()
        correlation_id = context.sane_id(headers.get("x-correlation-id")) or request_id
        traceparent = context.child_traceparent(headers.get("traceparent"))
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(
            scope,
            request_id,
            {"X-Request-ID": request_id, "X-Correlation-ID": correlation_id, "traceparent": traceparent},
        )
        with (
            context.bound(correlation_id=correlation_id, traceparent=traceparent),
            (SOCKETS if exchange.is_socket else IN_PROGRESS).labels(self._service).track_inprogress(),
        ):
            try:
                await self._run(exchange, receive, send)
            finally:
                self._record(exchange)

    async def _run(self, exchange: _Exchange, receive: Receive, send: Send) -> None:
        async def send_onward(message: Message) -> None:
            _note(exchange, message)
            await send(message)

        try:
            await self._app(exchange.scope, receive, send_onward)
            exchange.problem = exchange.scope["state"].get("problem")
        except (ClientDisconnect, WebSocketDisconnect):
            exchange.status = exchange.status or _CLIENT_GONE
        except Exception as error:
            problem = as_problem(error)
            if problem is None:
                log.exception("request failed", method=exchange.method, path=exchange.scope["path"])
                problem = Problem(_INTERNAL)
            exchange.problem = problem
            if exchange.is_socket:
                await self._refuse(exchange, problem, receive, send_onward)
            elif exchange.status is None:
                response = problem_response(problem, service=self._service, request_id=exchange.request_id)
                await response(exchange.scope, receive, send_onward)
            else:
                raise

    async def _refuse(self, exchange: _Exchange, problem: Problem, receive: Receive, send: Send) -> None:
        """Refuse a WebSocket: with a problem document before the handshake, with a close frame after it."""
        if exchange.closed:
            return
        if exchange.status is None and "websocket.http.response" in exchange.scope.get("extensions", {}):
            response = problem_response(problem, service=self._service, request_id=exchange.request_id)
            await response(exchange.scope, receive, send)
            return
        code = 1008 if problem.status < 500 else 1013 if problem.status == 503 else 1011
        reason = problem.detail.encode()[:_CLOSE_REASON_BYTES].decode(errors="ignore")
        await send({"type": "websocket.close", "code": code, "reason": reason})

    def _record(self, exchange: _Exchange) -> None:
        status = exchange.status or 500
        seconds = time.perf_counter() - exchange.started
        REQUESTS.labels(self._service, exchange.method, exchange.route, str(status)).inc()
        if not exchange.is_socket:
            SECONDS.labels(self._service, exchange.method, exchange.route).observe(seconds)
        path: str = exchange.scope["path"]
        # "Not ready" is no error of the probe: the failing check is logged elsewhere.
        write = log.debug if path.startswith(_QUIET_PATHS) else log.warning if status >= 500 else log.info
        write(
            _CLOSED if exchange.is_socket else _ANSWERED,
            method=exchange.method,
            path=path,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            request_id=exchange.request_id,
            **_problem_keys(exchange.problem),
        )


def is_access_line(record: Mapping[str, Any]) -> bool:
    """Whether a log record is the access record of an HTTP request or WebSocket."""
    return record.get("logger") == __name__ and record.get("event") in (_ANSWERED, _CLOSED)


def _problem_keys(problem: Problem | None) -> dict[str, str]:
    """The keys of a problem in the access log: its code, and the cause if there is one."""
    if problem is None:
        return {}
    cause = problem.__cause__
    if cause is None:
        return {"code": problem.code}
    # The first line only: database errors continue with the statement and its parameters.
    return {"code": problem.code, "cause": f"{type(cause).__name__}: {cause}".splitlines()[0][:300]}


def _note(exchange: _Exchange, message: Message) -> None:
    """Record the progress of the response, and add the ids to its headers."""
    kind: str = message["type"]
    if kind in ("http.response.start", "websocket.http.response.start"):
        exchange.status = message["status"]
        _echo(message, exchange.echoed.items())
    elif kind == "websocket.accept":
        exchange.status = 101
        _echo(message, exchange.echoed.items())
    elif kind == "websocket.close":
        exchange.closed = True
        exchange.status = exchange.status or 403  # closing before the handshake is answered like this


def _echo(message: dict[str, Any] | Message, pairs: Iterable[tuple[str, str]]) -> None:
    message.setdefault("headers", [])
    headers = MutableHeaders(scope=message)
    for name, value in pairs:
        headers[name] = value
