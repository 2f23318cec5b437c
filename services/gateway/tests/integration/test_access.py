"""Sessions, API keys, roles and revocations at the gateway with the real auth service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from common.testing import eventually

from .conftest import USER_PASSWORD, NewUser, enter

pytestmark = pytest.mark.integration

Platform = Any


@asynccontextmanager
async def showing(url: str, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(base_url=url, headers=named, timeout=30) as made:
        yield made


@pytest.fixture
async def person(new_user: NewUser) -> dict[str, str]:
    """A new user with a changed password."""
    return await new_user()


@pytest.fixture
async def session(platform: Platform, person: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the user, logged in at the gateway."""
    async with showing(platform.urls["gateway"], authorization=f"Bearer {person['token']}") as made:
        yield made


async def make_key(session: httpx.AsyncClient, *scopes: str) -> dict[str, Any]:
    """Create an API key; returns it."""
    made = await session.post("/api-keys", json={"name": "test", "scopes": list(scopes)})
    assert made.status_code == 201, made.text
    body: dict[str, Any] = made.json()
    return body


def refused(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of a problem."""
    return answer.status_code, answer.json()["code"]


async def test_one_time_password_must_be_changed_first(platform: Platform, client: httpx.AsyncClient) -> None:
    url = platform.urls["gateway"]
    username = f"user-{uuid4().hex[:8]}"
    made = (await client.post("/admin/users", json={"username": username})).json()
    tokens = await enter(url, username, made["one_time_password"])
    assert tokens["password_change_required"] is True
    async with showing(url, authorization=f"Bearer {tokens['access_token']}") as limited:
        assert (await limited.get("/me")).json()["username"] == username
        for path in ("/jobs", "/api-keys", "/me/sessions"):
            assert refused(await limited.get(path)) == (403, "password_change_required")
        body = {"current_password": made["one_time_password"], "new_password": USER_PASSWORD}
        assert (await limited.put("/me/password", json=body)).status_code == 204
        fresh = (await limited.post("/token/refresh", json={"refresh_token": tokens["refresh_token"]})).json()
    assert fresh["password_change_required"] is False
    async with showing(url, authorization=f"Bearer {fresh['access_token']}") as free:
        assert (await free.get("/jobs")).status_code == 200


async def test_api_key_is_limited_to_its_scopes(platform: Platform, session: httpx.AsyncClient) -> None:
    url = platform.urls["gateway"]
    reading, writing = (await make_key(session, "read"))["key"], (await make_key(session, "write"))["key"]
    assert reading.startswith("vk_")
    async with showing(url, authorization=f"Bearer {reading}") as reader, showing(url, x_api_key=writing) as writer:
        for program in (reader, writer):
            assert (await program.get("/jobs")).status_code == 200
            assert refused(await program.get("/admin/users")) == (403, "admin_only")
            # A key must not create keys or change the password.
            assert (await program.post("/api-keys", json={"name": "more"})).status_code == 403
            change = {"current_password": USER_PASSWORD, "new_password": "another password"}
            assert refused(await program.put("/me/password", json=change)) == (403, "sign_in_needed")
        missing = f"/jobs/{uuid4()}"
        assert refused(await reader.delete(missing)) == (403, "scope_missing")
        assert refused(await writer.delete(missing)) == (404, "job_not_found")
        upload = {"file": ("a.wav", b"RIFF", "audio/wav")}
        assert refused(await reader.post("/jobs", files=upload)) == (403, "scope_missing")
    keys = (await session.get("/api-keys")).json()["items"]
    assert {key["prefix"] for key in keys} == {reading[:10], writing[:10]}
    assert all(key["last_used_at"] for key in keys)
    assert "key" not in keys[0]


async def test_key_of_an_admin_needs_the_admin_scope(platform: Platform, client: httpx.AsyncClient) -> None:
    url = platform.urls["gateway"]
    plain, admin = (await make_key(client, "write"))["key"], (await make_key(client, "read", "admin"))["key"]
    async with showing(url, x_api_key=plain) as program:
        assert refused(await program.get("/admin/users")) == (403, "admin_only")
    async with showing(url, x_api_key=admin) as program:
        assert (await program.get("/admin/users")).status_code == 200
        assert refused(await program.post("/admin/users", json={"username": "x"})) == (403, "scope_missing")


@pytest.mark.parametrize("headers", [{"x_api_key": "vk_invented"}, {"authorization": "Bearer vk_invented"}])
async def test_unknown_key_is_refused(platform: Platform, headers: dict[str, str]) -> None:
    async with showing(platform.urls["gateway"], **headers) as stranger:
        answer = await stranger.get("/jobs")
    assert refused(answer) == (401, "invalid_api_key")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_revoked_key_is_refused_at_once_although_its_token_is_valid(
    platform: Platform, session: httpx.AsyncClient
) -> None:
    made = await make_key(session, "read")
    async with showing(platform.urls["gateway"], x_api_key=made["key"]) as program:
        assert (await program.get("/jobs")).status_code == 200
        assert (await session.delete(f"/api-keys/{made['id']}")).status_code == 204
        await eventually(
            lambda: program.get("/jobs"),
            lambda answer: answer.status_code == 401 and answer.json()["code"] == "invalid_api_key",
        )


async def is_over(client: httpx.AsyncClient) -> bool:
    answer = await client.get("/jobs")
    return answer.status_code == 401 and answer.json()["code"] == "session_ended"


async def test_logout_revokes_the_token_of_this_session_at_every_gateway(
    platform: Platform, person: dict[str, str], session: httpx.AsyncClient
) -> None:
    other = await enter(platform.urls["gateway"], person["username"], USER_PASSWORD)
    with platform.running("gateway", "second gateway") as second:
        async with (
            showing(second, authorization=session.headers["authorization"]) as elsewhere,
            showing(second, authorization=f"Bearer {other['access_token']}") as second_session,
        ):
            assert (await elsewhere.get("/jobs")).status_code == 200
            assert (await session.post("/logout")).status_code == 204
            await eventually(lambda: is_over(session))
            await eventually(lambda: is_over(elsewhere))
            assert (await second_session.get("/jobs")).status_code == 200
            # Login works although the request carries the revoked token.
            again = await elsewhere.post("/token", data={"username": person["username"], "password": USER_PASSWORD})
            assert again.status_code == 200


async def test_gateway_that_starts_later_reads_earlier_revocations(
    platform: Platform, session: httpx.AsyncClient
) -> None:
    assert (await session.post("/logout")).status_code == 204
    with platform.running("gateway", "late gateway") as late:
        async with showing(late, authorization=session.headers["authorization"]) as visitor:
            assert await is_over(visitor)


async def test_gateway_without_the_broker_reads_revocations_from_auth(
    platform: Platform, session: httpx.AsyncClient
) -> None:
    with platform.running("gateway", "deaf gateway", BROKER_URL="amqp://127.0.0.1:1/") as deaf:
        async with showing(deaf, authorization=session.headers["authorization"]) as visitor:
            assert (await visitor.get("/jobs")).status_code == 200
            assert (await session.post("/logout")).status_code == 204
            await eventually(lambda: is_over(visitor))


async def test_all_sessions_and_keys_of_a_disabled_user_are_refused(
    platform: Platform,
    client: httpx.AsyncClient,
    person: dict[str, str],
    session: httpx.AsyncClient,
) -> None:
    url = platform.urls["gateway"]
    made = await make_key(session, "read")
    async with showing(url, x_api_key=made["key"]) as program:
        assert (await program.get("/jobs")).status_code == 200
        changed = await client.patch(f"/admin/users/{person['id']}", json={"disabled": True})
        assert (changed.status_code, changed.json()["disabled"]) == (200, True)
        await eventually(lambda: is_over(session))
        assert refused(await program.get("/jobs")) == (401, "invalid_api_key")
        login = await session.post("/token", data={"username": person["username"], "password": USER_PASSWORD})
        assert refused(login) == (401, "invalid_credentials")

        assert (await client.patch(f"/admin/users/{person['id']}", json={"disabled": False})).status_code == 200
        assert await is_over(session)  # the revoked session stays revoked
        assert (await program.get("/jobs")).status_code == 200
    assert (await enter(url, person["username"], USER_PASSWORD))["access_token"]


async def test_new_role_is_applied_at_once_and_the_session_continues(
    platform: Platform, client: httpx.AsyncClient, person: dict[str, str]
) -> None:
    url = platform.urls["gateway"]
    tokens = await enter(url, person["username"], USER_PASSWORD)
    async with showing(url, authorization=f"Bearer {tokens['access_token']}") as before:
        assert refused(await before.get("/admin/users")) == (403, "admin_only")
        assert (await client.patch(f"/admin/users/{person['id']}", json={"role": "admin"})).status_code == 200
        await eventually(lambda: is_over(before))
        fresh = (await before.post("/token/refresh", data={"refresh_token": tokens["refresh_token"]})).json()
    async with showing(url, authorization=f"Bearer {fresh['access_token']}") as after:
        assert (await after.get("/admin/users")).status_code == 200
    assert (await client.patch(f"/admin/users/{person['id']}", json={"role": "user"})).status_code == 200


async def test_log_stream_of_an_ended_session_is_closed(
    platform: Platform, session: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    accepted = await session.post("/jobs", files={"file": ("a.wav", b"RIFF0000", "audio/wav")})
    assert accepted.status_code == 201, accepted.text
    path = f"{platform.urls['gateway'].replace('http', 'ws')}/ws/logs/{accepted.json()['id']}"
    token = session.headers["authorization"].removeprefix("Bearer ")
    offered = [Subprotocol("verbatim"), Subprotocol(f"bearer.{token}")]
    async with asyncio.timeout(30), connect(path, subprotocols=offered, proxy=None) as socket:
        assert (await session.delete("/me/sessions")).status_code == 204  # the other sessions; this one continues
        await socket.recv()
        assert (await session.post("/logout")).status_code == 204
        with suppress(ConnectionClosed):
            async for _ in socket:
                pass
    assert socket.close_code == 4401
    assert socket.close_reason == "The session has ended."


async def test_api_key_opens_a_log_stream(platform: Platform, session: httpx.AsyncClient) -> None:
    accepted = await session.post("/jobs", files={"file": ("a.wav", b"RIFF0000", "audio/wav")})
    path = f"{platform.urls['gateway'].replace('http', 'ws')}/ws/logs/{accepted.json()['id']}"
    key = (await make_key(session, "read"))["key"]
    async with asyncio.timeout(30), connect(path, additional_headers={"X-API-Key": key}, proxy=None) as socket:
        await socket.recv()
    offered = [Subprotocol("verbatim"), Subprotocol(f"bearer.{key}")]
    async with asyncio.timeout(30), connect(path, subprotocols=offered, proxy=None) as socket:
        await socket.recv()


async def test_metrics_need_an_administrator(
    platform: Platform, client: httpx.AsyncClient, session: httpx.AsyncClient
) -> None:
    counted = await client.get("/metrics")
    assert counted.headers["content-type"].startswith("text/plain")
    assert 'verbatim_http_requests_total{method="POST"' in counted.text
    assert refused(await session.get("/metrics")) == (403, "admin_only")
    async with showing(platform.urls["gateway"]) as stranger:
        assert refused(await stranger.get("/metrics")) == (401, "unauthorized")
