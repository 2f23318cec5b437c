"""Puts the transcriber together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI

from common.service import open_service
from common.web import build_app
from common.web.server import EXIT_RESTART, end

from .service import TranscriberService
from .settings import Settings
from .work.store import RecentStore
from .work.workspace import sweep

log = structlog.get_logger(__name__)

NAME = "transcriber"


def create_app(settings: Settings) -> FastAPI:
    """The transcriber, which answers health questions only; nothing connects before the application starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        sweep(settings.work_dir)
        store = RecentStore(settings)
        async with open_service(app, settings, NAME, store=store) as service:
            worker = TranscriberService(settings, store, service.broker)
            service.start("worker", worker.run)
            service.start("device", lambda: _end_with_device(app, worker))
            service.stop_with(worker.stop)
            service.readiness.add("engine", worker.check_engine)
            service.readiness.add("consumers", worker.check_consumers)
            yield

    return build_app(name=NAME, title="Verbatim transcriber", lifespan=lifespan, routers=[])


async def _end_with_device(app: FastAPI, worker: TranscriberService) -> None:
    """End the process in order when its GPU fails: the next process must pass the self-test before it takes work."""
    await worker.device_failure()
    log.error("the GPU failed; ending, to be started again")
    end(app, EXIT_RESTART)
    await asyncio.Event().wait()
