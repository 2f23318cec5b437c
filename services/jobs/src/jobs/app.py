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

from .consumers.control import Heartbeats, Records
from .consumers.dead_letters import DeadLetters
from .consumers.events import SUBSCRIPTIONS
from .logs.archive import LogArchive, publish
from .loops.concurrency import Announcer
from .loops.dispatch import Dispatcher
from .loops.search_terms import keep_terms
from .loops.watchdog import Watchdog
from .routes.administration import router as administration
from .routes.creation import router as creation
from .routes.jobs import listing, router, usage
from .routes.logs import router as log_router
from .service import Cancellations, Resources, Watchers
from .settings import Settings
from .tables import Inbox, Outbox

NAME = "jobs"
MIGRATIONS = "jobs.migrations"
# Time that a log record waits for others before its batch is stored; short, because viewers wait for it.
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
            archive = LogArchive(sessions, settings, partial(publish, broker))
            watchdog = Watchdog(sessions, resources)
            service.start("cancellations", partial(resources.cancellations.run, broker))
            service.start("concurrency", Announcer(engine, sessions, broker, settings).run)
            service.start("dispatcher", Dispatcher(engine, sessions, settings).run)
            service.start("watchdog", watchdog.run)
            service.start("search terms", partial(keep_terms, sessions))
            service.start("event watchers", watchers.run)
            service.start("log retention", archive.run)
            service.start("log heartbeat", archive.publish_head)

            heartbeats, records = Heartbeats(sessions), Records(sessions)

            async def on_control(key: str, body: bytes) -> None:
                await heartbeats.consume(key, body)
                await records.consume(key, body)

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
