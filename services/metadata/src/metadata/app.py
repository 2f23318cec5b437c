"""The composition root of the metadata service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from common.service import open_service
from common.storage import ObjectStore
from common.web import build_app

from .analysis.extractor import Extractor
from .consumers import SUBSCRIPTIONS
from .loops.analysis import AnalysisWorker
from .loops.enrichment import EnrichmentWorker
from .routes import router
from .service import AnalysisService
from .settings import Settings
from .tables import Inbox, Outbox

NAME = "metadata"
MIGRATIONS = "metadata.migrations"


def create_app(settings: Settings) -> FastAPI:
    """The metadata service; nothing connects before the application starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = ObjectStore(settings)
        async with open_service(app, settings, NAME, migrations=MIGRATIONS, store=store) as service:
            engine, sessions = service.engine, service.sessions
            app.state.settings = settings
            app.state.analyses = settings.openai_api_key is not None
            service.start("enrichment", EnrichmentWorker(engine, sessions, store, settings).run)
            if app.state.analyses:
                extractor = Extractor(settings)
                service.close_with(extractor.close)
                service.start("analysis", AnalysisWorker(engine, sessions, store, settings, extractor).run)
            else:
                # Requests from a time with a key must not stay pending.
                async with sessions.begin() as session:
                    await AnalysisService(session).end_unconfigured()
            await service.start_events(Inbox, Outbox, SUBSCRIPTIONS, None)
            yield

    return build_app(name=NAME, title="Verbatim metadata", lifespan=lifespan, routers=[router])
