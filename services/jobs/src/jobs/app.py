"""The composition root: everything the process is connected to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from common.events import ServiceHeartbeat, StorageMeasured, WorkerHeartbeat
from common.events.queues import LOG_ARCHIVE
from common.messaging import DeadLetterConsumer, QueueConsumer
from common.service import open_service
from common.web import build_app
from common.web.addresses import FromGateway

from .administration.concurrency import Announcer
from .administration.records import Records
from .administration.routes import router as administration
from .cancellations import Cancellations
from .consumers import SUBSCRIPTIONS
from .deadletters import DeadLetters
from .dispatch import Dispatcher
from .log_routes import router as log_router
from .logarchive import LogArchive, announce
from .reindexing import keep_terms
from .resources import Resources
from .routes import creation, listing, router, usage
from .settings import Settings
from .tables import Inbox, Outbox
from .watchdog import Watchdog
from .watching import Watchers
from .workers import Heartbeats

NAME = "jobs"
MIGRATIONS = "jobs.migrations"
# How long a log record waits for others on its way into the archive: people are watching.
_LOG_LINGER_SECONDS = 0.02


def create_app(settings: Settings) -> FastAPI:
    """Return the application; it connects when its lifespan begins."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_service(app, settings, NAME, migrations=MIGRATIONS) as service:
            engine, sessions, broker = service.engine, service.sessions, service.broker
            app.state.broker = broker
            app.state.resources = resources = Resources(settings, Cancellations())
            app.state.watchers = watchers = Watchers(engine, sessions, resources, service.readiness)
            archive = LogArchive(sessions, settings, partial(announce, broker))
            watchdog = Watchdog(sessions, resources)
            service.start("cancellations", partial(resources.cancellations.run, broker))
            service.start("concurrency", Announcer(engine, sessions, broker, settings).run)
            service.start("dispatcher", Dispatcher(engine, sessions, settings).run)
            service.start("watchdog", watchdog.run)
            service.start("search terms", partial(keep_terms, sessions))
            service.start("event watchers", watchers.run)
            service.start("log retention", archive.run)
            service.start("log heartbeat", archive.tell_head)

            heartbeats, records = Heartbeats(sessions), Records(sessions)

            async def on_control(key: str, body: bytes) -> None:
                await heartbeats.hear(key, body)
                await records.hear(key, body)

            notices = [notice.name for notice in (WorkerHeartbeat, ServiceHeartbeat, StorageMeasured)]
            await service.listen("control", notices, on_control)
            await service.start_events(Inbox, Outbox, SUBSCRIPTIONS, resources, after_loss=watchdog.repeat_everything)
            dead_letters = DeadLetterConsumer(broker, callback=DeadLetters(sessions, resources).store)
            await service.consume("dead letters", dead_letters)
            logs = QueueConsumer(broker, queue=LOG_ARCHIVE, callback=archive.store, linger=_LOG_LINGER_SECONDS)
            await service.consume("logs", logs)
            yield

    routers = [log_router, administration, creation, usage, listing, router]
    app = build_app(name=NAME, title="Verbatim: jobs", lifespan=lifespan, routers=routers)
    app.add_middleware(FromGateway, secret=settings.internal_token.get_secret_value())
    return app
