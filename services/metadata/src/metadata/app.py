"""The composition root of the metadata service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from common import database, logging
from common.health import Background
from common.messaging import Broker, EventConsumer, LogPublisher, OutboxRelay
from common.presence import Presence
from common.storage import ObjectStore
from common.web import Readiness, TokenVerifier, build_app

from .analysis.extractor import Extractor
from .consumers import SUBSCRIPTIONS
from .loops.analysis import AnalysisWorker
from .loops.enrichment import EnrichmentWorker
from .routes import router
from .service import AnalysisService
from .settings import Settings
from .tables import Inbox, Outbox

MIGRATIONS = "metadata.migrations"


def create_app(settings: Settings) -> FastAPI:
    """The metadata service; nothing connects before the application starts."""
    readiness = Readiness()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            engine = database.create_engine(settings)
            stack.push_async_callback(engine.dispose)
            await database.connect(engine, settings.db_connect_attempts)
            await database.require_current(engine, MIGRATIONS)
            sessions = database.sessions(engine)

            store = ObjectStore(settings)
            stack.push_async_callback(store.close)
            broker = await Broker.connect(settings, "metadata")
            stack.push_async_callback(broker.close)

            app.state.settings = settings
            app.state.sessions = sessions
            app.state.verifier = TokenVerifier(settings)
            stack.push_async_callback(app.state.verifier.close)

            background = Background()
            stack.push_async_callback(background.stop)
            background.start("logs", LogPublisher(broker, logging.sink()).run)
            background.start("presence", Presence(broker, service="metadata", settings=settings, app=app).run)
            background.start("outbox", OutboxRelay(engine, sessions, broker, Outbox).run)
            background.start("enrichment", EnrichmentWorker(engine, sessions, store, settings).run)
            app.state.analyses = settings.openai_api_key is not None
            if app.state.analyses:
                extractor = Extractor(settings)
                stack.push_async_callback(extractor.close)
                background.start("analysis", AnalysisWorker(engine, sessions, store, settings, extractor).run)
            else:
                # What was asked for while there was a key must not look as if somebody still worked on it.
                async with sessions.begin() as session:
                    await AnalysisService(session).end_unconfigured()

            consumer = EventConsumer(
                broker,
                service="metadata",
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

    return build_app(
        name="metadata", title="Verbatim metadata", lifespan=lifespan, routers=[router], readiness=readiness
    )
