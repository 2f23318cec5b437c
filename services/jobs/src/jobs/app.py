"""The composition root: everything the process is connected to."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common import database, logging
from common.health import Background
from common.messaging import (
    Broker,
    DeadLetterConsumer,
    EventConsumer,
    LogPublisher,
    OutboxRelay,
    QueueConsumer,
    tell_archived,
)
from common.presence import Presence
from common.web import Readiness, TokenVerifier, build_app
from common.web.addresses import FromGateway

from .consumers.control import Heartbeats, Records
from .consumers.dead_letters import DeadLetters
from .consumers.events import SUBSCRIPTIONS
from .logs.archive import LogArchive
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

MIGRATIONS = "jobs.migrations"
# Time that a log record waits for others before its batch is stored; short, because viewers wait for it.
_LOG_LINGER_SECONDS = 0.02


def create_app(settings: Settings) -> FastAPI:
    """Return the application; it connects when its lifespan begins."""
    readiness = Readiness()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            engine = database.create_engine(settings)
            stack.push_async_callback(engine.dispose)
            await database.connect(engine, settings.db_connect_attempts)
            await database.require_current(engine, MIGRATIONS)
            readiness.add("database", partial(_answers, engine))
            app.state.sessions = sessions = database.sessions(engine)
            app.state.verifier = verifier = TokenVerifier(settings)
            stack.push_async_callback(verifier.close)
            app.state.resources = resources = Resources(settings, Cancellations())

            app.state.watchers = watchers = Watchers(engine, sessions, resources, readiness)

            app.state.broker = broker = await Broker.connect(settings, "jobs")
            stack.push_async_callback(broker.close)
            readiness.add("broker", broker.check)

            background = Background()
            stack.push_async_callback(background.stop)
            readiness.add("loops", background.check)
            archive = LogArchive(sessions, settings, partial(tell_archived, broker))
            background.start("log publisher", LogPublisher(broker, logging.sink()).run)
            watchdog = Watchdog(sessions, resources)
            relay = OutboxRelay(engine, sessions, broker, Outbox, after_loss=watchdog.repeat_everything)
            background.start("outbox relay", relay.run)
            background.start("cancellations", partial(resources.cancellations.run, broker))
            background.start("concurrency", Announcer(engine, sessions, broker, settings).run)
            background.start("dispatcher", Dispatcher(engine, sessions, settings).run)
            background.start("presence", Presence(broker, service="jobs", settings=settings, app=app).run)
            background.start("watchdog", watchdog.run)
            background.start("search terms", partial(keep_terms, sessions))
            background.start("event watchers", watchers.run)
            background.start("log retention", archive.run)
            background.start("log heartbeat", archive.publish_head)

            heartbeats = await broker.listen("control", ["#"], Heartbeats(sessions).consume)
            stack.push_async_callback(heartbeats.close)
            records = await broker.listen("control", ["#"], Records(sessions).consume)
            stack.push_async_callback(records.close)
            events = EventConsumer(
                broker,
                service="jobs",
                sessions=sessions,
                inbox=Inbox,
                subscriptions=SUBSCRIPTIONS,
                resources=resources,
            )
            dead_letters = DeadLetterConsumer(broker, callback=DeadLetters(sessions, resources).store)
            logs = QueueConsumer(broker, queue="jobs.logs", callback=archive.store, linger=_LOG_LINGER_SECONDS)
            consumers: dict[str, EventConsumer[Resources] | QueueConsumer] = {
                "events": events,
                "dead letters": dead_letters,
                "logs": logs,
            }
            for name, consumer in consumers.items():
                await consumer.start()
                stack.push_async_callback(consumer.stop)
                readiness.add(name, consumer.check)
            yield

    app = build_app(
        name="jobs",
        title="Verbatim: jobs",
        lifespan=lifespan,
        routers=[log_router, administration, creation, usage, listing, router],
        readiness=readiness,
    )
    app.add_middleware(FromGateway, secret=settings.internal_token.get_secret_value())
    return app


async def _answers(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
