"""Authentication around all routes, and what happens to open connections when the access is revoked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from common.events import AccessRevoked
from common.testing import Issuer
from common.web import AdminDep, Identity, IdentityDep, Readiness, TokenVerifier, build_app
from gateway.edge.api_keys import ApiKeys
from gateway.edge.credentials import Authenticator, Credentials, confirm_access, identity_of
from gateway.edge.limits import RateLimit
from gateway.edge.revocations import Revocations
from gateway.relay.upstreams import Upstream

SESSION = uuid4()
ISSUER = Issuer()


def token(session: UUID = SESSION, **changes: Any) -> str:
    claims = dict[str, Any](sid=str(session), name="ada", gen=1) | changes
    return ISSUER.token(lifetime=86_400, **claims)  # some are made at import, long before they are used


MINE, EXPIRED = token(), token(exp=1)
BEARER = {"Authorization": f"Bearer {MINE}"}


class CountingVerifier(TokenVerifier):
    """Counts what it verifies."""

    verified = 0

    async def verify(self, token: str, method: str | None = "GET") -> Identity:
        self.verified += 1
        return await super().verify(token, method)


@pytest.fixture
def verifier() -> TokenVerifier:
    return ISSUER.verifier(CountingVerifier)


@pytest.fixture
def revocations(neighbour: Any, upstream: Upstream) -> Revocations:
    neighbour.answer = lambda _: {"session_ids": [], "users": [], "remember_seconds": 60}
    return Revocations(upstream)


async def end(revocations: Revocations) -> None:
    notice = AccessRevoked(session_ids=[SESSION])
    await revocations.on_notice(AccessRevoked.name, notice.model_dump_json().encode())


@pytest.fixture
async def edge(
    revocations: Revocations, upstream: Upstream, verifier: TokenVerifier
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application behind the middleware; its streams end by themselves only after a long time."""
    router = APIRouter()

    @router.get("/shown")
    async def shown(request: Request) -> dict[str, str | None]:
        return {name: request.headers.get(name) for name in ("authorization", "x-api-key")}

    @router.get("/me")
    async def me(request: Request, identity: IdentityDep) -> dict[str, Any]:
        assert identity_of(request) is identity
        return {"name": identity.username, "expires_at": identity.expires_at}

    @router.get("/admin")
    async def admin(_: AdminDep) -> None:
        return None

    @router.post("/token")
    async def log_in(request: Request) -> Response:
        return PlainTextResponse(request.headers["authorization"])

    @router.post("/uploads")
    async def upload(request: Request) -> dict[str, int]:
        size = 0
        async for block in request.stream():
            size += len(block)
        await confirm_access(request)
        return {"size": size}

    @router.get("/stream")
    async def stream(kind: str) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "one "
            await end(revocations)
            yield "two "
            yield "three"

        return StreamingResponse(parts(), media_type=kind)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    app = build_app(name="gateway", title="t", lifespan=lifespan, routers=[router], readiness=Readiness())
    app.user_middleware.append(Middleware(Credentials))
    app.state.verifier = verifier
    app.state.authenticator = Authenticator(verifier, revocations, ApiKeys(upstream, revocations, RateLimit(60)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://edge") as client:
        yield client


async def test_token_is_passed_on_unchanged_and_a_request_without_one_has_none(edge: httpx.AsyncClient) -> None:
    assert (await edge.get("/shown", headers=BEARER)).json() == {"authorization": f"Bearer {MINE}", "x-api-key": None}
    assert (await edge.get("/shown")).json() == {"authorization": None, "x-api-key": None}


async def test_token_is_verified_once_per_request(edge: httpx.AsyncClient, verifier: CountingVerifier) -> None:
    answer = await edge.get("/me", headers={"Authorization": f"Bearer {token(exp=2**33)}"})
    assert answer.json() == {"name": "ada", "expires_at": 2**33}
    assert verifier.verified == 1


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "vk", MINE + "x", EXPIRED])
async def test_invalid_token_is_refused_by_routes_that_need_one_and_ignored_by_others(
    edge: httpx.AsyncClient, text: str
) -> None:
    headers = {"Authorization": f"Bearer {text}"}
    refused = await edge.get("/me", headers=headers)
    wanted = {"": "unauthorized", EXPIRED: "token_expired"}.get(text, "invalid_token")
    assert (refused.status_code, refused.json()["code"]) == (401, wanted)
    assert (await edge.get("/shown", headers=headers)).status_code == 200


async def test_scopes_and_role_are_checked_by_the_route(edge: httpx.AsyncClient) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"scope": "write"}, "/me", "scope_missing"),
        ({"scope": "password"}, "/me", "password_change_required"),
        ({}, "/admin", "admin_only"),
    ]
    for claims, path, code in cases:
        answer = await edge.get(path, headers={"Authorization": f"Bearer {token(**claims)}"})
        assert (answer.status_code, answer.json()["code"]) == (403, code)
    admin = {"Authorization": f"Bearer {token(role='admin')}"}
    assert (await edge.get("/admin", headers=admin)).status_code == 200


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer vk_mine"}, {"X-API-Key": "vk_mine"}])
async def test_api_key_is_replaced_by_its_token(
    edge: httpx.AsyncClient, neighbour: Any, revocations: Revocations, headers: dict[str, str]
) -> None:
    await revocations.known()
    neighbour.answer = lambda _: {"access_token": MINE, "expires_in": 60}
    assert (await edge.get("/shown", headers=headers)).json() == {"authorization": f"Bearer {MINE}", "x-api-key": None}


async def test_revoked_token_is_refused_except_at_the_login(edge: httpx.AsyncClient, revocations: Revocations) -> None:
    await end(revocations)
    refused = await edge.get("/shown", headers=BEARER)
    assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")
    assert (await edge.post("/token", headers=BEARER)).status_code == 200
    other = {"Authorization": f"Bearer {token(uuid4())}"}
    assert (await edge.get("/shown", headers=other)).status_code == 200


async def test_tokens_are_refused_while_the_list_of_revocations_is_unavailable(
    edge: httpx.AsyncClient, neighbour: Any
) -> None:
    neighbour.status = 0
    refused = await edge.get("/shown", headers=BEARER)
    assert (refused.status_code, refused.json()["code"]) == (503, "identity_unavailable")
    assert (await edge.get("/shown")).status_code == 200


async def test_event_stream_stops_when_access_ends(edge: httpx.AsyncClient) -> None:
    cut = await edge.get("/stream", params={"kind": "text/event-stream"}, headers=BEARER)
    assert cut.text == "one "


async def test_answer_with_an_end_is_completed_when_access_ends(edge: httpx.AsyncClient) -> None:
    whole = await edge.get("/stream", params={"kind": "application/zip"}, headers=BEARER)
    assert whole.text == "one two three"


async def test_request_body_is_cut_and_the_connection_closed_when_access_ends(
    edge: httpx.AsyncClient, revocations: Revocations
) -> None:
    sent = []

    async def body() -> AsyncIterator[bytes]:
        for number in range(4):
            if number == 2:
                await end(revocations)
            sent.append(number)
            yield b"block"

    answer = await edge.post("/uploads", content=body(), headers=BEARER)
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
    assert answer.headers["connection"] == "close"
    assert sent == [0, 1, 2, 3], "the client may finish for a moment, so that it receives the answer"


async def test_stalled_request_body_is_cut_without_another_byte(
    edge: httpx.AsyncClient, revocations: Revocations
) -> None:
    stalled, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"block"
        stalled.set()
        await go_on.wait()

    async def end_then_release() -> None:
        await stalled.wait()
        await end(revocations)
        await asyncio.sleep(0)
        go_on.set()

    ending = asyncio.create_task(end_then_release())
    answer = await edge.post("/uploads", content=body(), headers=BEARER)
    await ending
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")


async def test_request_body_of_another_user_is_read_to_its_end(
    edge: httpx.AsyncClient, revocations: Revocations
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"block"
        await end(revocations)
        yield b"block"

    answer = await edge.post("/uploads", content=body(), headers={"Authorization": f"Bearer {token(uuid4())}"})
    assert answer.json() == {"size": 10}


@pytest.mark.parametrize(("status", "expected"), [(204, 200), (401, 401), (500, 200), (0, 200)])
async def test_auth_confirms_access_before_a_change_and_is_ignored_while_unavailable(
    edge: httpx.AsyncClient, revocations: Revocations, neighbour: Any, status: int, expected: int
) -> None:
    await revocations.known()
    neighbour.status = status
    answer = await edge.post("/uploads", content=b"block", headers=BEARER)
    assert answer.status_code == expected
    assert neighbour.asked >= 2
