"""Puts the transcriber together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from fastapi import FastAPI

from common import logging
from common.health import Background
from common.messaging import Broker, LogPublisher
from common.presence import Presence
from common.web import Readiness, build_app
from common.web.server import EXIT_RESTART, end

from .recent import RecentStore
from .service import TranscriberService
from .settings import Settings
from .workspace import sweep

log = structlog.get_logger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The transcriber, which answers health questions only; nothing connects before the application starts."""
    readiness = Readiness()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            sweep(settings.work_dir)
            store = RecentStore(settings)
            stack.push_async_callback(store.close)
            broker = await Broker.connect(settings, "transcriber")
            stack.push_async_callback(broker.close)

            background = Background()
            stack.push_async_callback(background.stop)
            background.start("logs", LogPublisher(broker, logging.sink()).run)
            background.start("presence", Presence(broker, service="transcriber", settings=settings, app=app).run)

            service = TranscriberService(settings, store, broker)
            background.start("worker", service.run)
            background.start("device", lambda: _end_with_device(app, service))
            stack.push_async_callback(service.stop)

            readiness.add("broker", broker.check)
            readiness.add("store", store.check)
            readiness.add("engine", service.check_engine)
            readiness.add("consumers", service.check_consumers)
            readiness.add("background", background.check)
            yield

    return build_app(
        name="transcriber", title="Verbatim transcriber", lifespan=lifespan, routers=[], readiness=readiness
    )


async def _end_with_device(app: FastAPI, service: TranscriberService) -> None:
    """End the process in order when its GPU fails: the next one must prove itself before it takes any work."""
    await service.device_failure()
    log.error("the GPU failed; ending, to be started again")
    end(app, EXIT_RESTART)
    await asyncio.Event().wait()
