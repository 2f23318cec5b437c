"""The frame of an application: health, version, and identity in routes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from structlog.testing import capture_logs

from common import web


async def fine() -> None:
    pass


async def broken() -> None:
    raise ConnectionError("10.0.0.7 refused")


async def stuck() -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.readiness.add("database", fine)
    yield


def client_of(readiness: web.Readiness, *routers: APIRouter) -> httpx.AsyncClient:
    app = web.build_app(name="jobs", title="Jobs", lifespan=lifespan, routers=routers, readiness=readiness)
    app.state.verifier = Verifier()
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://jobs")


async def test_the_process_is_alive_whatever_it_depends_on() -> None:
    readiness = web.Readiness()
    readiness.add("broker", broken)
    async with client_of(readiness) as client:
        response = await client.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_ready_means_that_every_check_passes() -> None:
    readiness = web.Readiness()
    readiness.add("database", fine)
    readiness.add("broker", fine)
    async with client_of(readiness) as client:
        response = await client.get("/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ready", "checks": ["broker", "database"]})


async def test_failing_checks_are_named_and_their_reasons_stay_inside() -> None:
    readiness = web.Readiness(timeout=0.05)
    readiness.add("store", stuck)
    readiness.add("database", fine)
    readiness.add("broker", broken)
    async with client_of(readiness) as client:
        with capture_logs() as logs:
            response = await client.get("/health/ready")
            await client.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["code"] == "not_ready"
    assert response.json()["failing"] == ["broker", "store"]
    assert response.json()["detail"] == "Not ready: broker, store."
    assert "10.0.0.7" not in response.text
    reasons = {entry["check"]: entry["error"] for entry in logs if entry["event"] == "readiness check failed"}
    assert reasons.keys() == {"broker", "store"}
    assert reasons["broker"] == "ConnectionError: 10.0.0.7 refused"
    # The second question brought nothing new, so it logged nothing new.
    assert len([entry for entry in logs if entry["event"].startswith("readiness")]) == 3


async def test_checks_run_side_by_side() -> None:
    async def slow() -> None:
        await asyncio.sleep(0.2)

    readiness = web.Readiness()
    for number in range(10):
        readiness.add(f"check {number}", slow)
    started = time.monotonic()
    assert await readiness.failing() == []
    assert time.monotonic() - started < 1.5  # one after the other they would take 2 s


async def test_draining_is_not_ready_whatever_the_checks_say() -> None:
    readiness = web.Readiness()
    readiness.add("database", fine)
    readiness.drain()
    async with client_of(readiness) as client:
        response = await client.get("/health/ready")
    assert (response.status_code, response.json()["failing"]) == (503, ["draining"])


def test_a_check_has_a_name_of_its_own() -> None:
    readiness = web.Readiness()
    readiness.add("database", fine)
    with pytest.raises(ValueError, match="database"):
        readiness.add("database", fine)


async def test_lifespan_code_reaches_the_readiness() -> None:
    readiness = web.Readiness()
    app = web.build_app(name="jobs", title="Jobs", lifespan=lifespan, routers=[], readiness=readiness)
    async with app.router.lifespan_context(app):
        assert readiness.names == ["database"]


async def test_the_version_is_told() -> None:
    async with client_of(web.Readiness()) as client:
        assert (await client.get("/version")).json() == {"service": "jobs", "version": "0.1.0"}


class Verifier:
    """Believes two words; the real verifier has tests of its own."""

    async def verify(self, token: str, method: str | None = "GET") -> web.Identity:
        if token not in ("ada", "root"):
            raise web.Unauthorized("Who?")
        return web.Identity(uuid4(), token, "admin" if token == "root" else "user", token)


router = APIRouter()


@router.get("/me")
async def me(identity: web.IdentityDep) -> str:
    return identity.username


@router.get("/admin")
async def administer(identity: web.AdminDep) -> str:
    return identity.username


@pytest.mark.parametrize(
    ("path", "authorization", "status"),
    [
        ("/me", "Bearer ada", 200),
        ("/me", "bearer root", 200),
        ("/me", None, 401),
        ("/me", "Basic ada", 401),
        ("/me", "Bearer", 401),
        ("/me", "Bearer mallory", 401),
        ("/admin", "Bearer root", 200),
        ("/admin", "Bearer ada", 403),
        ("/admin", None, 401),
    ],
)
async def test_routes_know_who_is_asking(path: str, authorization: str | None, status: int) -> None:
    async with client_of(web.Readiness(), router) as client:
        response = await client.get(path, headers={"Authorization": authorization} if authorization else {})
    assert response.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)


def test_the_api_document_says_which_routes_want_a_token() -> None:
    app = web.build_app(name="jobs", title="Jobs", lifespan=lifespan, routers=[router], readiness=web.Readiness())
    document = app.openapi()
    assert document["paths"]["/me"]["get"]["security"] == [{"HTTPBearer": []}]
    assert "security" not in document["paths"]["/health/live"]["get"]
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
