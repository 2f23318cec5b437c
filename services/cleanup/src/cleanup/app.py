"""The composition root of the cleanup service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from common.service import answer_outages, open_service
from common.storage import ObjectStore, StoreUnavailable
from common.web import build_app

from .consumers import SUBSCRIPTIONS
from .errors import StoreDown
from .files.storage import StorageMeter
from .routes import router
from .settings import Settings
from .sweeps.rules import Resources
from .sweeps.sweeper import Sweeper
from .tables import Inbox, Outbox

NAME = "cleanup"
MIGRATIONS = "cleanup.migrations"


def create_app(settings: Settings) -> FastAPI:
    """The cleanup service; nothing connects before the application starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = ObjectStore(settings)
        async with open_service(app, settings, NAME, migrations=MIGRATIONS, store=store) as service:
            app.state.resources = resources = Resources(service.sessions, store, settings)
            app.state.storage = storage = StorageMeter(store, service.broker)
            service.start("storage report", storage.run)
            service.start("sweeps", Sweeper(service.engine, resources).run)
            await service.start_events(Inbox, Outbox, SUBSCRIPTIONS, None)
            yield

    app = build_app(name=NAME, title="Verbatim cleanup", lifespan=lifespan, routers=[router])
    away = StoreDown("The object store is not available; try again in a moment.")
    answer_outages(app, NAME, StoreUnavailable, away)
    return app
