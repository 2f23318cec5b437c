"""Without a database a route that needs one says so, and says when to come back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import APIRouter, FastAPI
from sqlalchemy import text

from common import database, web
from common.settings import DatabaseSettings
from common.web import SessionDep

router = APIRouter()


@router.get("/rows")
async def rows(session: SessionDep) -> int:
    return int((await session.execute(text("SELECT 1"))).scalar_one())


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


async def test_a_database_that_is_down_makes_the_route_unavailable() -> None:
    app = web.build_app(name="jobs", title="Jobs", lifespan=lifespan, routers=[router], readiness=web.Readiness())
    # Nothing listens on port 9 (discard) here, and nothing is sent there if it does.
    engine = database.create_engine(DatabaseSettings(db_url="postgresql+asyncpg://nobody:none@127.0.0.1:9/none"))
    app.state.sessions = database.sessions(engine)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://jobs") as client:
        response = await client.get("/rows")
    await engine.dispose()
    assert (response.status_code, response.json()["code"]) == (503, "temporarily_unavailable")
    assert response.headers["Retry-After"] == "5"
    assert "127.0.0.1" not in response.text
