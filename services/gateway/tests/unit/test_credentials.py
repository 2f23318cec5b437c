"""What is shown at the door, and what happens to those inside when it is taken back."""

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
from common.testing.identity import unchecked_token
from common.web import Readiness, build_app
from gateway.api_keys import ApiKeys
from gateway.credentials import Credentials, Doorkeeper, confirm_access
from gateway.limits import RateLimit
from gateway.revocations import Revocations
from gateway.upstreams import Upstream

SESSION = uuid4()


def token(session: UUID = SESSION) -> str:
    return unchecked_token(sid=str(session), gen=1)


@pytest.fixture
def revocations(neighbour: Any, upstream: Upstream) -> Revocations:
    neighbour.answer = lambda _: {"session_ids": [], "users": [], "remember_seconds": 60}
    return Revocations(upstream)


async def end(revocations: Revocations) -> None:
    notice = AccessRevoked(session_ids=[SESSION])
    await revocations.on_notice(AccessRevoked.name, notice.model_dump_json().encode())


@pytest.fixture
async def door(revocations: Revocations, upstream: Upstream) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application behind the door; its streams end by themselves only after a long time."""
    router = APIRouter()

    @router.get("/shown")
    async def shown(request: Request) -> dict[str, str | None]:
        return {name: request.headers.get(name) for name in ("authorization", "x-api-key")}

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
    app.state.doorkeeper = Doorkeeper(revocations, ApiKeys(upstream, revocations, RateLimit(60)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door") as client:
        yield client


async def test_token_passes_as_it_is_and_who_shows_nothing_is_nobody(door: httpx.AsyncClient) -> None:
    bearer = {"Authorization": f"Bearer {token()}"}
    assert (await door.get("/shown", headers=bearer)).json() == {
        "authorization": f"Bearer {token()}",
        "x-api-key": None,
    }
    assert (await door.get("/shown")).json() == {"authorization": None, "x-api-key": None}


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer vk_mine"}, {"X-API-Key": "vk_mine"}])
async def test_key_becomes_its_token_and_goes_no_further(
    door: httpx.AsyncClient, neighbour: Any, revocations: Revocations, headers: dict[str, str]
) -> None:
    await revocations.known()
    neighbour.answer = lambda _: {"access_token": token(), "expires_in": 60}
    assert (await door.get("/shown", headers=headers)).json() == {
        "authorization": f"Bearer {token()}",
        "x-api-key": None,
    }


async def test_token_that_was_taken_back_is_refused_except_to_log_in_again(
    door: httpx.AsyncClient, revocations: Revocations
) -> None:
    await end(revocations)
    bearer = {"Authorization": f"Bearer {token()}"}
    refused = await door.get("/shown", headers=bearer)
    assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")
    assert (await door.post("/token", headers=bearer)).status_code == 200
    other = {"Authorization": f"Bearer {token(uuid4())}"}
    assert (await door.get("/shown", headers=other)).status_code == 200


async def test_nobody_is_let_in_while_it_is_not_known_who_is_out(door: httpx.AsyncClient, neighbour: Any) -> None:
    neighbour.status = 0
    refused = await door.get("/shown", headers={"Authorization": f"Bearer {token()}"})
    assert (refused.status_code, refused.json()["code"]) == (503, "identity_unavailable")
    assert (await door.get("/shown")).status_code == 200


async def test_endless_stream_stops_when_access_ends(door: httpx.AsyncClient) -> None:
    bearer = {"Authorization": f"Bearer {token()}"}
    cut = await door.get("/stream", params={"kind": "text/event-stream"}, headers=bearer)
    assert cut.text == "one "


async def test_answer_that_ends_by_itself_is_finished(door: httpx.AsyncClient) -> None:
    bearer = {"Authorization": f"Bearer {token()}"}
    whole = await door.get("/stream", params={"kind": "application/zip"}, headers=bearer)
    assert whole.text == "one two three"


BEARER = {"Authorization": f"Bearer {token()}"}


async def test_body_ends_when_access_does_and_the_connection_is_closed(
    door: httpx.AsyncClient, revocations: Revocations
) -> None:
    sent = []

    async def body() -> AsyncIterator[bytes]:
        for number in range(4):
            if number == 2:
                await end(revocations)
            sent.append(number)
            yield b"block"

    answer = await door.post("/uploads", content=body(), headers=BEARER)
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
    assert answer.headers["connection"] == "close"
    assert sent == [0, 1, 2, 3], "the client is let finish for a moment, so that it gets the answer"


async def test_body_that_stalls_is_cut_without_another_byte(door: httpx.AsyncClient, revocations: Revocations) -> None:
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
    answer = await door.post("/uploads", content=body(), headers=BEARER)
    await ending
    assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")


async def test_body_of_somebody_else_is_read_to_its_end(door: httpx.AsyncClient, revocations: Revocations) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"block"
        await end(revocations)
        yield b"block"

    answer = await door.post("/uploads", content=body(), headers={"Authorization": f"Bearer {token(uuid4())}"})
    assert answer.json() == {"size": 10}


@pytest.mark.parametrize(("status", "expected"), [(204, 200), (401, 401), (500, 200), (0, 200)])
async def test_auth_has_the_last_word_before_something_is_made_unless_it_is_away(
    door: httpx.AsyncClient, revocations: Revocations, neighbour: Any, status: int, expected: int
) -> None:
    await revocations.known()
    neighbour.status = status
    answer = await door.post("/uploads", content=b"block", headers=BEARER)
    assert answer.status_code == expected
    assert neighbour.asked >= 2
