"""The transaction of a request is over before its answer leaves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from starlette.types import Message, Receive, Scope, Send

from common import web
from common.web import SessionDep

pytestmark = pytest.mark.integration

router = APIRouter()
TABLE = "CREATE TABLE thing (name text UNIQUE DEFERRABLE INITIALLY DEFERRED)"


@router.post("/things/{name}", status_code=201)
async def create(name: str, session: SessionDep) -> str:
    await session.execute(text("INSERT INTO thing VALUES (:name)"), {"name": name})
    if name == "unwanted":
        raise web.Conflict("Not that one.")
    return name


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


class Observed:
    """The application, with a look into the database at the moment each answer starts."""

    def __init__(self, app: FastAPI, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._app = app
        self._sessions = sessions
        self.seen: list[str] = []

    async def names(self) -> list[str]:
        async with self._sessions() as session:
            return list((await session.execute(text("SELECT name FROM thing"))).scalars())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def look_then_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.seen = await self.names()
            await send(message)

        await self._app(scope, receive, look_then_send)


@pytest.fixture
async def observed(engine: AsyncEngine, session_factory: async_sessionmaker[AsyncSession]) -> Observed:
    async with engine.begin() as connection:
        await connection.execute(text(TABLE))
    app = web.build_app(name="jobs", title="Jobs", lifespan=lifespan, routers=[router], readiness=web.Readiness())
    app.state.sessions = session_factory
    return Observed(app, session_factory)


@pytest.fixture
async def client(observed: Observed) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(observed), base_url="http://jobs") as client:
        yield client


async def test_the_commit_comes_before_the_answer(observed: Observed, client: httpx.AsyncClient) -> None:
    assert (await client.post("/things/wanted")).status_code == 201
    assert observed.seen == ["wanted"]


async def test_a_problem_rolls_back(observed: Observed, client: httpx.AsyncClient) -> None:
    assert (await client.post("/things/unwanted")).status_code == 409
    assert await observed.names() == []


async def test_a_failed_commit_is_told_to_the_client(observed: Observed, client: httpx.AsyncClient) -> None:
    assert (await client.post("/things/once")).status_code == 201
    response = await client.post("/things/once")  # the constraint is checked at the commit
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert await observed.names() == ["once"]
