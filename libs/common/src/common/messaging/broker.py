"""The two connections of a process to RabbitMQ: publish, broadcast and listen."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self
from uuid import uuid4

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractExchange, AbstractRobustChannel, AbstractRobustConnection, AbstractRobustQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, DeliveryError, PublishError
from aio_pika.robust_connection import RobustConnection
from yarl import URL

from common.events import Command, Event, Notice
from common.settings import BrokerSettings

from . import metrics
from .envelope import Envelope
from .errors import BrokerUnavailable, PublishFailed, PublishRefused
from .listener import Listener
from .topology import (
    CONTROL,
    EVENTS,
    EXCHANGES,
    LISTENED,
    WORK,
    ListenExchange,
    QueueSpec,
    own_exchange,
    standing_queues,
    work_queue,
)

log = structlog.get_logger(__name__)

_CONNECT_TIMEOUT = 5.0
_RECONNECT_INTERVAL = 1.0
_CONFIRM_TIMEOUT = 5.0
_BEST_EFFORT_TIMEOUT = 2.0

# What the client library raises when the connection or the channel is closed.
_CONNECTION_ERRORS = (*CONNECTION_EXCEPTIONS, TimeoutError)


class Broker:
    """A client of RabbitMQ that reconnects by itself and then declares the topology again.

    There is a separate connection for publishing: a broker without free memory or disk stops reading from connections
    that publish, and consumers on the same connection could then not acknowledge.
    """

    def __init__(self, settings: BrokerSettings, name: str) -> None:
        """Does not connect before `open`; `name` is the service."""
        self._settings = settings
        self._name = name
        self._connections: list[AbstractRobustConnection] = []
        self._opened = False
        self._declared: dict[str, AbstractRobustQueue] = {}
        self._declaring = asyncio.Lock()
        self._topology: AbstractRobustChannel
        self._confirmed: AbstractRobustChannel
        self._best_effort: AbstractRobustChannel
        self._exchanges: dict[str, AbstractExchange] = {}
        self._best_effort_exchanges: dict[str, AbstractExchange] = {}

    @classmethod
    async def connect(cls, settings: BrokerSettings, name: str) -> Self:
        """Return a broker that is open; raises BrokerUnavailable."""
        broker = cls(settings, name)
        await broker.open()
        return broker

    async def open(self) -> None:
        """Connect, with retries, and declare the topology, unless already open; raises BrokerUnavailable."""
        if self._opened:
            return
        attempts = self._settings.broker_connect_attempts
        for attempt in range(1, attempts + 1):
            try:
                await self._open()
            except _CONNECTION_ERRORS as error:
                await self.close()
                log.warning("broker not reachable", attempt=attempt, attempts=attempts, error=_message_of(error))
                if attempt == attempts:
                    where = URL(self._settings.broker_url).with_user(None)
                    raise BrokerUnavailable(
                        f"{where} did not answer in {attempts} attempts: {_message_of(error)}"
                    ) from error
                await asyncio.sleep(min(0.25 * 2**attempt, 5.0) * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            except BaseException:
                await self.close()
                raise
            else:
                self._opened = True
                return

    async def close(self) -> None:
        """Close both connections; stop consumers and listeners first."""
        self._opened = False
        connections, self._connections = self._connections, []
        for connection in connections:
            await connection.close()

    @property
    def name(self) -> str:
        """The name of the service."""
        return self._name

    @property
    def connected(self) -> bool:
        """Whether both connections are open, as far as known without a request to the broker."""
        return self._opened and all(
            connection.connected.is_set() and not connection.is_closed for connection in self._connections
        )

    async def check(self) -> None:
        """Raise BrokerUnavailable unless the broker answers on both connections within `broker_ping_timeout`."""
        if not self.connected:
            raise BrokerUnavailable("not connected to the broker")
        try:
            async with asyncio.timeout(self._settings.broker_ping_timeout):
                for channel in (self._topology, self._confirmed):
                    underlay = await channel.get_underlay_channel()
                    await underlay.exchange_declare(EVENTS, passive=True)
        except _CONNECTION_ERRORS as error:
            raise BrokerUnavailable(f"the broker does not answer: {_message_of(error)}") from error

    async def publish(
        self, message: Event | Command, *, headers: Mapping[str, Any] | None = None, retry_seconds: float = 0.0
    ) -> None:
        """Publish and wait for the broker's confirmation (5 s); raises PublishFailed.

        With `retry_seconds`, failed attempts are repeated for about that time; the message may then be published more
        than once.
        """
        envelope = Envelope.of(message, headers)
        deadline = asyncio.get_running_loop().time() + retry_seconds
        delay = 0.2
        while True:
            try:
                return await self.send(envelope)
            except PublishFailed:
                if asyncio.get_running_loop().time() + delay > deadline:
                    raise
            await asyncio.sleep(delay)
            delay = min(2 * delay, 2.0)

    async def send(self, envelope: Envelope) -> None:
        """Publish an envelope and wait for the broker's confirmation (5 s); raises PublishFailed."""
        try:
            async with asyncio.timeout(_CONFIRM_TIMEOUT):
                if envelope.exchange == WORK:
                    await self.ensure_queue(work_queue(envelope.routing_key))
                await self._exchanges[envelope.exchange].publish(
                    _message(envelope, DeliveryMode.PERSISTENT), envelope.routing_key, mandatory=envelope.mandatory
                )
        except (DeliveryError, PublishError) as error:
            metrics.PUBLISHED.labels(envelope.message_type, "refused").inc()
            raise PublishRefused(f"the broker refused {envelope.message_type}: {_message_of(error)}") from error
        except _CONNECTION_ERRORS as error:
            metrics.PUBLISHED.labels(envelope.message_type, "failed").inc()
            raise PublishFailed(f"the broker did not confirm {envelope.message_type}: {_message_of(error)}") from error
        metrics.PUBLISHED.labels(envelope.message_type, "confirmed").inc()

    async def broadcast(self, message: Notice) -> None:
        """Broadcast a notice to every connected process, best effort; a failure is only logged."""
        envelope = Envelope(
            CONTROL, message.name, str(message.event_id), message.name, message.correlation_id, None,
            message.model_dump_json().encode(),
        )  # fmt: skip
        if not await self.send_best_effort(envelope):
            log.warning("broadcast failed", notice=message.name)

    async def send_best_effort(self, envelope: Envelope) -> bool:
        """Publish without persistence or confirmation; return whether the message was sent."""
        if not self.connected:
            return False
        try:
            async with asyncio.timeout(_BEST_EFFORT_TIMEOUT):
                await self._best_effort_exchanges[envelope.exchange].publish(
                    _message(envelope, DeliveryMode.NOT_PERSISTENT), envelope.routing_key, mandatory=False
                )
        except _CONNECTION_ERRORS:
            return False
        return True

    async def listen(
        self, exchange: ListenExchange, keys: Sequence[str], callback: Callable[[str, bytes], Awaitable[None]]
    ) -> Listener:
        """Call back with (routing key, body) of every message sent to the exchange from now on, in order, best effort.

        Raises BrokerUnavailable.
        """
        try:
            channel = await self.consuming_channel()
            queue = await channel.declare_queue(
                f"{self._name}.{exchange}.{uuid4().hex[:12]}", exclusive=True, auto_delete=True
            )
            for key in keys:
                await queue.bind(LISTENED[exchange], key)
            listener = Listener(exchange, channel, queue, callback)
            await listener.start()
        except _CONNECTION_ERRORS as error:
            raise BrokerUnavailable(f"cannot listen to {exchange}: {_message_of(error)}") from error
        return listener

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call back when the consuming connection is restored: broadcasts may have been missed meanwhile."""
        for consuming in self._connections[1:]:  # none once it is closed
            consuming.reconnect_callbacks.add(lambda *_: callback())

    async def ensure_queue(self, spec: QueueSpec) -> None:
        """Declare a queue with its bindings, once; not the standing queues when BROKER_DECLARES is false."""
        if spec.standing and not self._settings.broker_declares:
            return
        async with self._declaring:
            if spec.name not in self._declared:
                self._declared[spec.name] = await declare(self._topology, spec)

    async def consuming_channel(self) -> AbstractRobustChannel:
        """Open a channel for a consumer."""
        channel = self._connections[1].channel(publisher_confirms=False)
        await channel.initialize()
        return channel

    async def declare_once(self, spec: QueueSpec) -> None:
        """Declare a queue that is not declared again after a reconnect; raises PublishFailed."""
        try:
            async with asyncio.timeout(_CONFIRM_TIMEOUT):
                queue = await self._topology.declare_queue(
                    spec.name, durable=True, arguments=spec.arguments, robust=False
                )
                for exchange, key in spec.bindings:
                    await queue.bind(exchange, key, robust=False)
        except _CONNECTION_ERRORS as error:
            raise PublishFailed(f"the broker did not declare {spec.name}: {_message_of(error)}") from error

    async def _open(self) -> None:
        url = URL(self._settings.broker_url).update_query(heartbeat=str(self._settings.broker_heartbeat_seconds))
        for purpose in ("publish", "consume"):
            connection = RobustConnection(
                url,
                client_properties={"connection_name": f"{self._name} ({purpose})"},
                reconnect_interval=_RECONNECT_INTERVAL,
            )
            # Before it connects: an unclosed connection continues to connect even when `connect` is cancelled.
            self._connections.append(connection)
            await connection.connect(timeout=_CONNECT_TIMEOUT)
        publishing, _ = self._connections
        self._topology = await self.consuming_channel()
        exchanges = EXCHANGES | {own_exchange(self._name): "direct"}
        if self._settings.broker_declares:
            for name, kind in exchanges.items():
                await self._topology.declare_exchange(name, kind, durable=True)
            for spec in standing_queues():
                await self.ensure_queue(spec)
        self._confirmed = publishing.channel(publisher_confirms=True, on_return_raises=True)
        self._best_effort = publishing.channel(publisher_confirms=False)
        await self._confirmed.initialize()
        await self._best_effort.initialize()
        for name in exchanges:
            self._exchanges[name] = await self._confirmed.get_exchange(name, ensure=False)
            self._best_effort_exchanges[name] = await self._best_effort.get_exchange(name, ensure=False)


async def declare(channel: AbstractRobustChannel, spec: QueueSpec) -> AbstractRobustQueue:
    """Declare a queue with its bindings; the channel repeats the declaration after every reconnect."""
    queue = await channel.declare_queue(spec.name, durable=True, arguments=spec.arguments)
    for exchange, key in spec.bindings:
        await queue.bind(exchange, key)
    return queue


def _message(envelope: Envelope, mode: DeliveryMode) -> Message:
    headers = dict(envelope.headers)
    if envelope.traceparent is not None:
        headers["traceparent"] = envelope.traceparent
    return Message(
        envelope.body,
        headers=headers,
        content_type="application/json",
        delivery_mode=mode,
        message_id=envelope.message_id,
        correlation_id=envelope.correlation_id,
        type=envelope.message_type,
    )


def _message_of(error: BaseException) -> str:
    return str(error) or type(error).__name__
