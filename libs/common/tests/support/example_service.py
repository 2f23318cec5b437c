"""A small service, started as a process of its own by the tests of the command line."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import APIRouter, FastAPI, Request, WebSocket
from pydantic import Field, SecretStr

from common import cli, web
from common.settings import DatabaseSettings, ServiceSettings

log = structlog.get_logger(__name__)
router = APIRouter()


class Settings(ServiceSettings, DatabaseSettings):
    """The frame's settings and two of its own."""

    api_key: SecretStr = Field(examples=["a key"])
    fail_at_start: bool = False


@router.get("/slow", summary="An answer that takes until the service stops.")
async def slow(request: Request) -> str:
    while await request.app.state.readiness.failing() != ["draining"]:  # noqa: ASYNC110 - readiness has no event
        await asyncio.sleep(0.05)
    return "done"


@router.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    """Sends back what it gets."""
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


def create_app(settings: Settings) -> FastAPI:
    """Wires nothing; notes in the log when the application starts and ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if settings.fail_at_start:
            raise RuntimeError("cannot start")
        log.info("example started")
        yield
        log.info("example ended", failing=await app.state.readiness.failing())

    return web.build_app(
        name="example", title="Example", lifespan=lifespan, routers=[router], readiness=web.Readiness()
    )


if __name__ == "__main__":
    cli.main(name="example", settings_type=Settings, create_app=create_app, migrations="example.migrations")
