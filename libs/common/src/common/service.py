"""The frame of a service: opens what every service opens, runs its loops, and closes in reverse order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog
from fastapi import FastAPI, Request, Response

from common import logging, messaging
from common.health import Background
from common.heartbeats import HeartbeatPublisher
from common.messaging import Broker, BrokerUnavailable, ListenExchange, LogPublisher
from common.settings import BrokerSettings, DatabaseSettings, IdentitySettings, ServiceSettings
from common.web import Problem, Readiness, TokenVerifier
from common.web.app import BACKGROUND
from common.web.errors import problem_response

if TYPE_CHECKING:  # not every service has SQLAlchemy and the store's client installed
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

    from common.database import InboxMixin, OutboxMixin
    from common.storage import ObjectStore

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0

T = TypeVar("T")
R = TypeVar("R")
Stop = Callable[[], Awaitable[object]]


class Consumer(Protocol):
    """A consumer of a queue."""

    async def start(self) -> None:
        """Begin to consume; raises BrokerUnavailable."""

    async def stop(self) -> None:
        """Stop consuming and finish unacknowledged messages."""

    async def check(self) -> None:
        """Raise unless messages are delivered."""


@dataclass
class Service:
    """The resources of `open_service`. `engine` and `sessions` exist in services with a database only."""

    name: str
    readiness: Readiness
    broker: Broker
    needs_broker: bool
    background: Background = field(default_factory=Background)
    engine: "AsyncEngine" = field(init=False)
    sessions: "async_sessionmaker[AsyncSession]" = field(init=False)
    _resources: AsyncExitStack = field(default_factory=AsyncExitStack)
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)
    _connected: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, name: str, run: Callable[[], Awaitable[None]], *, needs_broker: bool = False) -> None:
        """Run an endless loop; with `needs_broker` it begins once the broker is connected."""

        async def run_connected() -> None:
            await self._connected.wait()
            # Where the service does not need the broker, its outage is no failure of the loop.
            await (run() if self.needs_broker else _until_available(run))

        self.background.start(name, run_connected if needs_broker else run)

    async def start_events(
        self,
        inbox: "type[InboxMixin]",
        outbox: "type[OutboxMixin]",
        subscriptions: "messaging.Subscriptions[R]",
        resources: R,
        *,
        after_loss: "Callable[[AsyncSession], Awaitable[None]] | None" = None,
    ) -> None:
        """Publish the outbox and consume the service's events; `resources` are handed to every handler."""
        relay = messaging.OutboxRelay(self.engine, self.sessions, self.broker, outbox, after_loss=after_loss)
        self.start("outbox", relay.run, needs_broker=True)
        consumer: messaging.EventConsumer[R] = messaging.EventConsumer(
            self.broker,
            service=self.name,
            sessions=self.sessions,
            inbox=inbox,
            subscriptions=subscriptions,
            resources=resources,
        )
        await self.consume("events", consumer)

    async def consume(self, name: str, consumer: Consumer) -> None:
        """Start a consumer and check it as part of the readiness, if the service needs the broker."""

        async def start() -> Stop:
            await consumer.start()
            return consumer.stop

        await self._attach(name, start)
        if self.needs_broker:
            self.readiness.add(name, consumer.check)

    async def listen(
        self,
        exchange: ListenExchange,
        keys: Sequence[str],
        callback: Callable[[str, bytes], Awaitable[None]],
        *,
        on_connect: Callable[[], None] | None = None,
    ) -> None:
        """Call back with (routing key, body) of each broadcast.

        `on_connect` is called whenever the connection begins or is restored: earlier broadcasts may have been missed.
        """

        async def start() -> Stop:
            listener = await self.broker.listen(exchange, keys, callback)
            if on_connect is not None:
                self.broker.on_reconnect(on_connect)
                on_connect()
            return listener.close

        await self._attach(f"{exchange} listener", start)

    def close_with(self, close: Stop) -> None:
        """Call `close` at the end, after the consumers and loops have stopped."""
        self._resources.push_async_callback(close)

    def stop_with(self, stop: Stop) -> None:
        """Call `stop` at the start of the shutdown, while the loops still run."""
        self._running.push_async_callback(stop)

    async def _attach(self, name: str, start: Callable[[], Awaitable[Stop]]) -> None:
        """Start a consumer: at once, or in its own loop where the service does not need the broker."""
        if self.needs_broker:
            return self.stop_with(await start())

        async def run() -> None:
            stop = await start()
            try:
                await asyncio.Event().wait()
            finally:
                await stop()

        return self.start(name, run, needs_broker=True)

    async def _connect(self) -> None:
        await _until_available(self.broker.open)
        self._connected.set()
        await asyncio.Event().wait()


async def _until_available(start: Callable[[], Awaitable[T]]) -> T:
    """Repeat until the broker is available."""
    while True:
        try:
            return await start()
        except BrokerUnavailable as error:
            log.warning("broker unavailable", error=str(error))
        await asyncio.sleep(_RETRY_SECONDS)


@asynccontextmanager
async def open_service(
    app: FastAPI,
    settings: ServiceSettings,
    name: str,
    *,
    migrations: str | None = None,
    store: "ObjectStore | None" = None,
    verifier: TokenVerifier | None = None,
    needs_broker: bool = True,
) -> AsyncIterator[Service]:
    """Open the parts that the settings and arguments name; made for the application's lifespan.

    `migrations` is the package of the schema's migrations; the start fails when the schema is older. The verifier is
    created from the settings unless it is given. A service that does not need the broker is ready without it and
    connects when the broker answers. The readiness checks are `database`, `store`, `broker`, `background` and
    `events`.
    """
    readiness: Readiness = app.state.readiness
    service = Service(name, readiness, Broker(_part(settings, BrokerSettings), name), needs_broker)
    async with service._resources:
        if verifier is None and issubclass(type(settings), IdentitySettings):
            verifier = TokenVerifier(_part(settings, IdentitySettings))
        if verifier is not None:
            app.state.verifier = verifier
            service.close_with(verifier.close)
        if store is not None:
            service.close_with(store.close)
            readiness.add("store", store.check)
        if migrations is not None:
            await _open_database(service, _part(settings, DatabaseSettings), migrations)
            app.state.sessions = service.sessions
        service.close_with(service.broker.close)
        if needs_broker:
            await service.broker.open()
            service._connected.set()
            readiness.add("broker", service.broker.check)
        async with service._running:
            service.stop_with(service.background.stop)
            readiness.add(BACKGROUND, service.background.check)
            if not needs_broker:
                service.start("broker", service._connect)
            service.start("logs", LogPublisher(service.broker, logging.sink()).run, needs_broker=True)
            heartbeats = HeartbeatPublisher(service.broker, service=name, settings=settings, app=app)
            service.start("heartbeats", heartbeats.run, needs_broker=True)
            yield service


def _part(settings: object, kind: type[T]) -> T:
    """Return the settings typed as one of their base classes."""
    assert isinstance(settings, kind), f"{type(settings).__name__} has no {kind.__name__}"
    return settings


async def _open_database(service: Service, settings: DatabaseSettings, migrations: str) -> None:
    from common import database  # noqa: PLC0415 - services without a database do not have it installed

    service.engine = engine = database.create_engine(settings)
    service.close_with(engine.dispose)
    await database.connect(engine, settings.db_connect_attempts)
    await database.require_current(engine, migrations)
    service.sessions = database.sessions(engine)

    async def database_answers() -> None:
        await database.connect(engine, 1)

    service.readiness.add("database", database_answers)


def answer_outages(app: FastAPI, service: str, cause: type[Exception], problem: Problem) -> None:
    """Answer requests that fail with `cause`, the outage of a dependency, with this problem."""

    async def answer(request: Request, error: Exception) -> Response:
        log.warning("dependency unavailable", code=problem.code, error=str(error))
        return problem_response(problem, service=service, request_id=request.state.request_id)

    app.add_exception_handler(cause, answer)
