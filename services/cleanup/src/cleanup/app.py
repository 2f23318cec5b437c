"""The composition root of the cleanup service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from fastapi import FastAPI, Request, Response

from common import database, logging
from common.health import Background
from common.messaging import Broker, EventConsumer, LogPublisher, OutboxRelay
from common.presence import Presence
from common.storage import ObjectStore, StoreUnavailable
from common.web import Readiness, TokenVerifier, build_app
from common.web.errors import problem_response

from .consumers import SUBSCRIPTIONS
from .errors import StoreDown
from .files.storage import StorageMeter
from .routes import router
from .settings import Settings
from .sweeps.rules import Resources
from .sweeps.sweeper import Sweeper
from .tables import Inbox, Outbox

log = structlog.get_logger(__name__)

MIGRATIONS = "cleanup.migrations"


def create_app(settings: Settings) -> FastAPI:
    """The cleanup service; nothing connects before the application starts."""
    readiness = Readiness()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            engine = database.create_engine(settings)
            stack.push_async_callback(engine.dispose)
            await database.connect(engine, settings.db_connect_attempts)
            await database.require_current(engine, MIGRATIONS)
            app.state.sessions = sessions = database.sessions(engine)
            app.state.verifier = verifier = TokenVerifier(settings)
            stack.push_async_callback(verifier.close)

            store = ObjectStore(settings)
            stack.push_async_callback(store.close)
            app.state.resources = resources = Resources(sessions, store, settings)
            broker = await Broker.connect(settings, "cleanup")
            stack.push_async_callback(broker.close)
            app.state.storage = storage = StorageMeter(store, broker)

            background = Background()
            stack.push_async_callback(background.stop)
            background.start("logs", LogPublisher(broker, logging.sink()).run)
            background.start("outbox", OutboxRelay(engine, sessions, broker, Outbox).run)
            background.start("presence", Presence(broker, service="cleanup", settings=settings, app=app).run)
            background.start("storage report", storage.run)
            background.start("sweeps", Sweeper(engine, resources).run)

            consumer = EventConsumer(
                broker,
                service="cleanup",
                sessions=sessions,
                inbox=Inbox,
                subscriptions=SUBSCRIPTIONS,
                resources=None,
            )
            await consumer.start()
            stack.push_async_callback(consumer.stop)

            async def database_answers() -> None:
                await database.connect(engine, 1)

            readiness.add("database", database_answers)
            readiness.add("broker", broker.check)
            readiness.add("consumer", consumer.check)
            readiness.add("store", store.check)
            readiness.add("background", background.check)
            yield

    app = build_app(name="cleanup", title="Verbatim cleanup", lifespan=lifespan, routers=[router], readiness=readiness)
    app.add_exception_handler(StoreUnavailable, _tell_store_down)
    return app


async def _tell_store_down(request: Request, error: Exception) -> Response:
    log.warning("object store unavailable", error=str(error))
    problem = StoreDown("The object store is not available; try again in a moment.")
    return problem_response(problem, service="cleanup", request_id=request.state.request_id)
