"""Relayed requests, health, and outages of services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.integration

Platform = Any


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that answers every request with these bytes and records the requests."""
    requests: list[str] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


async def test_login_and_own_account_are_relayed(client: httpx.AsyncClient) -> None:
    me = await client.get("/me")
    assert me.json()["username"] == "admin"
    assert me.headers["content-type"] == "application/json"


async def test_refused_login_is_relayed_unchanged(platform: Platform) -> None:
    async with httpx.AsyncClient(base_url=platform.urls["gateway"], timeout=30) as stranger:
        answer = await stranger.post("/token", data={"username": "admin", "password": "wrong password"})
        assert (answer.status_code, answer.json()["code"], answer.json()["service"]) == (
            401,
            "invalid_credentials",
            "auth",
        )
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
        large = await stranger.post("/token", content=b"x" * 2_000_000)
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")


async def test_logins_are_limited_by_the_gateway(platform: Platform) -> None:
    with platform.running("gateway", "strict gateway", LOGINS_PER_MINUTE="2") as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as stranger:
            form = {"username": "admin", "password": "wrong password"}
            answers = [await stranger.post("/token", data=form) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [401, 401, 429]
            assert int(answers[2].headers["retry-after"]) > 0
            # X-Forwarded-For is ignored: the client is not a trusted proxy.
            spoofed = await stranger.post("/token", data=form, headers={"X-Forwarded-For": "192.0.2.1"})
            assert spoofed.status_code == 429


async def test_request_id_and_trace_are_forwarded_and_other_headers_are_not(platform: Platform, token: str) -> None:
    problem = b'{"type":"urn:verbatim:problem:x","title":"x","status":418,"detail":"x","code":"x"}'
    answer = (
        b"HTTP/1.1 418 x\r\nContent-Type: application/problem+json\r\nSet-Cookie: a=b\r\nX-Internal: 1\r\n"
        b"Content-Length: " + str(len(problem)).encode() + b"\r\nConnection: close\r\n\r\n" + problem
    )
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with answering(answer) as (jobs_url, requests):
        with platform.running("gateway", "curious gateway", JOBS_URL=jobs_url) as url:
            headers = {
                "Authorization": f"Bearer {token}",
                "X-Request-ID": "my-request",
                "traceparent": f"00-{trace}-b7ad6b7169203331-01",
                "X-Forwarded-For": "192.0.2.1",
                "X-Forwarded-User": "root",
                "X-User-Id": "0",
                "Cookie": "session=1",
            }
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
                passed = await client.get("/jobs", params={"limit": 5, "evil": "x"})
    assert (passed.status_code, passed.json()["code"]) == (418, "x")
    assert passed.headers["x-request-id"] == "my-request"
    assert "set-cookie" not in passed.headers
    assert "x-internal" not in passed.headers

    lines = requests[-1].lower().split("\r\n")
    assert lines[0] == "get /jobs?limit=5 http/1.1"
    received = dict(line.split(": ", 1) for line in lines[1:] if line)
    assert received["authorization"] == f"bearer {token}".lower()
    assert received["x-request-id"] == "my-request"
    assert received["traceparent"].split("-")[1] == trace
    assert received["x-forwarded-for"] == "127.0.0.1"
    assert not {"x-forwarded-user", "x-user-id", "cookie"} & set(received)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 500 no\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\ntraceback",
        b"HTTP/1.1 302 go\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_invalid_answers_of_a_service_are_not_relayed(platform: Platform, token: str, answer: bytes) -> None:
    async with answering(answer) as (jobs_url, _):
        with platform.running("gateway", "wary gateway", JOBS_URL=jobs_url) as url:
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
                got = await client.get(f"{url}/jobs")
    assert (got.status_code, got.json()["code"], got.json()["upstream"]) == (502, "upstream_failed", "jobs")
    assert "traceback" not in got.text


async def test_missing_answers_and_other_protocols_mean_unavailable(platform: Platform, token: str) -> None:
    async with answering(b"\x00\x01garbage\r\n\r\n") as (garbage_url, _):
        with platform.running(
            "gateway", "hasty gateway", JOBS_URL=garbage_url, METADATA_URL=platform.storage.s3_endpoint
        ) as url:
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
                got = await client.get(f"{url}/jobs")
                assert (got.status_code, got.json()["upstream"]) == (503, "jobs")


async def test_problem_names_the_unavailable_service(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metadata/4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10")
    assert (answer.status_code, answer.json()["code"], answer.json()["upstream"]) == (
        503,
        "service_unavailable",
        "metadata",
    )
    assert "metadata" in answer.json()["detail"]


async def test_health_is_degraded_without_services_that_are_not_essential(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "degraded")
    states = {name: service["status"] for name, service in body["services"].items()}
    assert states == {
        "auth": "ok",
        "jobs": "ok",
        "metadata": "unavailable",
        "cleanup": "unavailable",
        "object_store": "ok",
        "message_bus": "ok",
    }
    assert body["version"]
    version = (await client.get("/version")).json()
    assert version == {"service": "gateway", "version": body["version"]}


async def test_health_answers_in_time_when_an_essential_service_hangs(platform: Platform) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        hanging = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with platform.running("gateway", "patient gateway", JOBS_URL=hanging, API_HEALTH_TIMEOUT="0.5") as url:
            async with httpx.AsyncClient(timeout=30) as client:
                answer = await client.get(f"{url}/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert (
        answer.json()["services"]["jobs"] | {"status": "unavailable", "essential": True}
        == answer.json()["services"]["jobs"]
    )
    assert answer.elapsed.total_seconds() < 5


async def test_requests_work_without_the_broker(platform: Platform, token: str) -> None:
    with platform.running("gateway", "busless gateway", BROKER_URL="amqp://127.0.0.1:1/") as url:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            upload = await client.post("/jobs", files={"file": ("a.mp3", b"sound")})
            health = await client.get("/health")
    assert upload.status_code == 201
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["services"]["message_bus"]["status"] == "unavailable"


async def test_unavailable_object_store_is_a_problem(platform: Platform, token: str) -> None:
    with platform.running("gateway", "storeless gateway", until="live", S3_ENDPOINT="http://127.0.0.1:1") as url:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            ready = await client.get("/health/ready")
            health = await client.get("/health")
            upload = await client.post("/jobs", files={"file": ("a.mp3", b"sound")})
    assert (ready.status_code, ready.json()["failing"]) == (503, ["store"])
    assert (health.status_code, health.json()["services"]["object_store"]["status"]) == (503, "unavailable")
    assert (upload.status_code, upload.json()["code"]) == (503, "object_store_unavailable")
    assert "127.0.0.1" not in upload.text + health.text
