"""Around every request: ids, trace, access log and metrics, for answers, streams and WebSockets."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from prometheus_client import REGISTRY
from starlette.types import ASGIApp, Message, Scope
from structlog.testing import capture_logs

from common import context, web

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
router = APIRouter(prefix="/jobs")


@router.get("/{job_id}/context")
async def tell_context(job_id: str) -> dict[str, str | None]:
    return {"correlation_id": context.correlation_id(), "traceparent": context.traceparent(), "job_id": job_id}


@router.get("/{job_id}/context-in-a-thread")
def tell_context_in_a_thread(job_id: str) -> dict[str, str | None]:
    return {"correlation_id": context.correlation_id()}


@router.get("/stream")
async def stream(request: Request) -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await request.app.state.gate.wait()
        yield b"second"

    return StreamingResponse(chunks())


@router.get("/break")
async def break_off() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        raise LookupError("half way")

    return StreamingResponse(chunks())


@router.post("/upload")
async def upload(request: Request) -> int:
    return sum([len(chunk) async for chunk in request.stream()])


@router.websocket("/{job_id}/echo")
async def echo(socket: WebSocket, job_id: str) -> None:
    await socket.accept()
    await socket.send_json([job_id, context.correlation_id()])
    while True:
        await socket.send_text(await socket.receive_text())


@router.websocket("/{job_id}/refuse/{when}/{how}")
async def refuse(socket: WebSocket, when: str, how: str) -> None:
    if when == "after":
        await socket.accept()
    if how == "problem":
        raise web.Unauthorized("Sign in first.")
    if how == "unavailable":
        raise web.Unavailable("Later.")
    raise RuntimeError("swordfish")


@router.websocket("/close")
async def close(socket: WebSocket) -> None:
    await socket.close(4001, "no")


@router.websocket("/typed/{number}")
async def typed(socket: WebSocket, number: int) -> None:
    await socket.accept()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
def app() -> FastAPI:
    app = web.build_app(name="ring", title="Ring", lifespan=lifespan, routers=[router], readiness=web.Readiness())
    app.state.gate = asyncio.Event()
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ring") as client:
        yield client


class Connection:
    """A hand-driven ASGI connection, for what clients would hide."""

    def __init__(
        self, app: ASGIApp, kind: str, path: str, *, method: str = "GET", extensions: Sequence[str] = ()
    ) -> None:
        self.sent: list[Message] = []
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._changed = asyncio.Event()
        scope: Scope = {
            "type": kind,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"token=swordfish",
            "headers": [],
            "method": method,
            "scheme": "ws" if kind == "websocket" else "http",
            "server": ("ring", 80),
            "client": ("127.0.0.1", 5),
            "root_path": "",
            "http_version": "1.1",
            "extensions": {name: {} for name in extensions},
            "asgi": {"version": "3.0", "spec_version": "2.4"},
        }
        self.task = asyncio.ensure_future(app(scope, self._incoming.get, self._send))

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        self._changed.set()

    def say(self, **message: Any) -> None:
        self._incoming.put_nowait(message)

    async def hear(self, count: int) -> list[Message]:
        """Wait until `count` messages have been sent."""
        async with asyncio.timeout(5):
            while len(self.sent) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.sent

    async def end(self) -> None:
        async with asyncio.timeout(5):
            await self.task


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"service": "ring", **labels}) or 0.0


async def test_ids_are_made_up_and_told(client: httpx.AsyncClient) -> None:
    response = await client.get("/jobs/7/context")
    request_id = response.headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert response.headers["X-Correlation-ID"] == request_id
    assert response.json()["correlation_id"] == request_id
    assert response.json()["traceparent"] == response.headers["traceparent"]
    assert context.correlation_id() is None


async def test_ids_are_taken_over(client: httpx.AsyncClient) -> None:
    response = await client.get("/jobs/7/context", headers={"X-Request-ID": "r-1"})
    assert (response.headers["X-Request-ID"], response.json()["correlation_id"]) == ("r-1", "r-1")
    response = await client.get("/jobs/7/context", headers={"X-Request-ID": "r-1", "X-Correlation-ID": "c-1"})
    assert (response.headers["X-Request-ID"], response.headers["X-Correlation-ID"]) == ("r-1", "c-1")
    assert response.json()["correlation_id"] == "c-1"


async def test_wild_ids_are_replaced(client: httpx.AsyncClient) -> None:
    wild = {"X-Request-ID": "<script>" * 50, "X-Correlation-ID": "a b"}
    response = await client.get("/jobs/7/context", headers=wild)
    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])
    assert response.headers["X-Correlation-ID"] == response.headers["X-Request-ID"]


async def test_a_trace_is_continued_with_a_span_of_our_own(client: httpx.AsyncClient) -> None:
    response = await client.get("/jobs/7/context", headers={"traceparent": PARENT})
    ours = response.json()["traceparent"]
    assert context.trace_id(ours) == context.trace_id(PARENT)
    assert ours != PARENT
    response = await client.get("/jobs/7/context", headers={"traceparent": "nonsense"})
    assert context.trace_id(response.json()["traceparent"])


async def test_routes_in_threads_see_the_context(client: httpx.AsyncClient) -> None:
    response = await client.get("/jobs/7/context-in-a-thread", headers={"X-Request-ID": "r-1"})
    assert response.json() == {"correlation_id": "r-1"}


async def test_the_access_log_has_the_path_and_nothing_of_the_query(client: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        await client.get("/jobs/7/context?token=swordfish", headers={"Authorization": "Bearer swordfish"})
    [access] = logs
    assert access.pop("milliseconds") >= 0
    assert re.fullmatch("[0-9a-f]{32}", access.pop("request_id"))
    assert access == {
        "event": "request answered",
        "log_level": "info",
        "method": "GET",
        "path": "/jobs/7/context",
        "status": 200,
    }


async def test_health_checks_do_not_fill_the_log(client: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        await client.get("/health/live")
    assert [entry["log_level"] for entry in logs] == ["debug"]


async def test_requests_are_counted_by_route_and_not_by_path(client: httpx.AsyncClient) -> None:
    route = {"method": "GET", "route": "/jobs/{job_id}/context"}
    before = sample("verbatim_http_requests_total", **route, status="200")
    timed = sample("verbatim_http_request_seconds_count", **route)
    for job in ("1", "2"):
        await client.get(f"/jobs/{job}/context")
    assert sample("verbatim_http_requests_total", **route, status="200") == before + 2
    assert sample("verbatim_http_request_seconds_count", **route) == timed + 2
    assert sample("verbatim_http_requests_in_progress") == 0


async def test_what_clients_make_up_becomes_no_label(client: httpx.AsyncClient) -> None:
    labels = {"method": "other", "route": "unmatched", "status": "404"}
    before = sample("verbatim_http_requests_total", **labels)
    await client.request("BREW", "/coffee/1")
    await client.request("STIR", "/coffee/2")
    assert sample("verbatim_http_requests_total", **labels) == before + 2


async def test_a_streamed_answer_leaves_chunk_by_chunk(app: FastAPI) -> None:
    connection = Connection(app, "http", "/jobs/stream")
    connection.say(type="http.request", body=b"", more_body=False)
    start, first = await connection.hear(2)
    assert (start["status"], first["body"], first["more_body"]) == (200, b"first", True)
    assert sample("verbatim_http_requests_in_progress") == 1
    app.state.gate.set()
    await connection.end()
    assert b"".join(message.get("body", b"") for message in connection.sent) == b"firstsecond"
    assert sample("verbatim_http_requests_in_progress") == 0


async def test_a_streamed_request_arrives_whole(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    assert (await client.post("/jobs/upload", content=chunks())).json() == 100_000


async def test_an_error_amid_an_answer_cuts_it_off(app: FastAPI) -> None:
    connection = Connection(app, "http", "/jobs/break")
    connection.say(type="http.request", body=b"", more_body=False)
    with capture_logs() as logs, pytest.raises(LookupError):
        await connection.end()
    assert not any(message.get("more_body") is False for message in connection.sent)
    assert logs[0]["event"] == "request failed"


async def test_a_client_that_leaves_during_its_upload_is_no_error_of_ours(app: FastAPI) -> None:
    connection = Connection(app, "http", "/jobs/upload", method="POST")
    connection.say(type="http.request", body=b"some", more_body=True)
    connection.say(type="http.disconnect")
    with capture_logs() as logs:
        await connection.end()
    assert connection.sent == []
    [access] = logs
    assert (access["event"], access["status"], access["log_level"]) == ("request answered", 499, "info")


async def test_a_websocket_passes_through_with_ids_and_context(app: FastAPI) -> None:
    connection = Connection(app, "websocket", "/jobs/7/echo")
    connection.say(type="websocket.connect")
    accept, hello = await connection.hear(2)
    headers = {name.decode().lower(): value.decode() for name, value in accept["headers"]}
    assert hello["text"] == f'["7","{headers["x-correlation-id"]}"]'
    assert sample("verbatim_websockets_open") == 1
    connection.say(type="websocket.receive", text="hello")
    assert (await connection.hear(3))[2]["text"] == "hello"
    with capture_logs() as logs:
        connection.say(type="websocket.disconnect", code=1001)
        await connection.end()
    assert sample("verbatim_websockets_open") == 0
    [access] = logs
    assert (access["event"], access["method"], access["status"]) == ("websocket closed", "WEBSOCKET", 101)
    assert "swordfish" not in str(access)
    labels = {"method": "WEBSOCKET", "route": "/jobs/{job_id}/echo", "status": "101"}
    assert sample("verbatim_http_requests_total", **labels) >= 1


async def test_a_problem_before_the_handshake_is_an_http_answer(app: FastAPI) -> None:
    connection = Connection(app, "websocket", "/jobs/7/refuse/before/problem", extensions=["websocket.http.response"])
    connection.say(type="websocket.connect")
    await connection.end()
    start, body = connection.sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert b"urn:verbatim:problem:unauthorized" in body["body"]


@pytest.mark.parametrize(
    ("when", "how", "code", "reason"),
    [
        ("before", "problem", 1008, "Sign in first."),
        ("after", "problem", 1008, "Sign in first."),
        ("after", "unavailable", 1013, "Later."),
        ("after", "crash", 1011, "Internal error. Report the request id to an administrator: the log names the cause."),
    ],
)
async def test_otherwise_a_problem_closes_the_websocket(
    app: FastAPI, when: str, how: str, code: int, reason: str
) -> None:
    connection = Connection(app, "websocket", f"/jobs/7/refuse/{when}/{how}")
    connection.say(type="websocket.connect")
    await connection.end()
    assert connection.sent[-1] == {"type": "websocket.close", "code": code, "reason": reason}


async def test_a_websocket_that_its_route_closed_is_left_alone(app: FastAPI) -> None:
    connection = Connection(app, "websocket", "/jobs/close")
    connection.say(type="websocket.connect")
    await connection.end()
    assert connection.sent == [{"type": "websocket.close", "code": 4001, "reason": "no"}]


async def test_a_websocket_with_a_wrong_parameter_is_refused(app: FastAPI) -> None:
    connection = Connection(app, "websocket", "/jobs/typed/x", extensions=["websocket.http.response"])
    connection.say(type="websocket.connect")
    await connection.end()
    assert connection.sent[0]["status"] == 422


async def test_a_websocket_to_nowhere_is_refused(app: FastAPI) -> None:
    connection = Connection(app, "websocket", "/nowhere")
    connection.say(type="websocket.connect")
    await connection.end()
    assert connection.sent[-1]["type"] == "websocket.close"
