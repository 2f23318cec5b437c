"""The service's entrance for events: each is handled in one transaction with the mark that it was."""

import asyncio
import inspect
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic
from typing import Any, Generic, TypeVar

import structlog
from aio_pika.abc import AbstractIncomingMessage
from pydantic import ValidationError
from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common import context
from common.database import InboxMixin, is_outage
from common.events import SUBSCRIBERS, Event

from . import metrics
from .broker import Broker
from .subscription import Subscription, delivery_count
from .topology import deliveries_until_dead, event_queue

log = structlog.get_logger(__name__)

R = TypeVar("R")
E = TypeVar("E", bound=Event)

Handler = Callable[[E, AsyncSession, R], Awaitable[None]]
# The handler of an event takes just that event. Python's types cannot say so about a mapping, hence Any; the consumer
# compares each handler's annotation with its key when it is made.
Subscriptions = Mapping[type[Event], Callable[[Any, AsyncSession, R], Awaitable[None]]]

_PREFETCH = 16
# Below the broker's consumer timeout of 30 minutes, after which it would take the message away and count a delivery.
_LONGEST_OUTAGE_IN_HAND = 15 * 60.0
_INBOX_KEEPS = timedelta(days=30)
_PRUNE_EVERY = 3600.0


class EventConsumer(Generic[R]):
    """Takes the service's events from its queue.

    Events of one job are handled in the order of their arrival, those of different jobs side by side. A broken or
    unknown event is dead-lettered at once. While the database, the store or the broker is away, events are kept and
    tried again; any other exception puts the event back until its deliveries are used up, which dead-letters it.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        service: str,
        sessions: async_sessionmaker[AsyncSession],
        inbox: type[InboxMixin],
        subscriptions: Subscriptions[R],
        resources: R,
        retry_delay: float = 1.0,
    ) -> None:
        """Wire a consumer; raises TypeError or ValueError when the table does not fit the catalogue."""
        _compare(service, subscriptions)
        self._service = service
        self._sessions = sessions
        self._inbox = inbox
        self._handlers = subscriptions
        self._types = {event.routing_key: event for event in subscriptions}
        self._resources = resources
        self._retry_delay = retry_delay
        queue = event_queue(service)
        self._deliveries = deliveries_until_dead(queue.name)
        self._subscription = Subscription(broker, queue, _PREFETCH, self._on_message)
        self._lanes: dict[str, tuple[asyncio.Lock, int]] = {}
        self._in_hand: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()
        self._pruning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to consume; raises BrokerUnavailable."""
        self._stopping.clear()
        await self._subscription.start()
        self._pruning = asyncio.create_task(self._prune_forever(), name=f"{self._service} inbox pruning")

    async def stop(self, timeout: float = 10.0) -> None:
        """Take no more events and finish those in hand; what is not finished in time goes back to the queue."""
        self._stopping.set()
        await self._subscription.cancel()
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=timeout)
        await self._subscription.close()
        if self._pruning is not None:
            self._pruning.cancel()
            await asyncio.wait([self._pruning])

    async def check(self) -> None:
        """Raise BrokerUnavailable unless events can reach us."""
        await self._subscription.check()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._in_hand.add(task)
        try:
            await self._take(message)
        finally:
            self._in_hand.discard(task)

    async def _take(self, message: AbstractIncomingMessage) -> None:
        name = message.type or message.routing_key or "?"
        event_type = self._types.get(name)
        if event_type is None:
            log.error("event without a handler", event_type=name, event_id=message.message_id)
            return await self._bury(message, "unknown")
        try:
            event = event_type.model_validate_json(message.body)
        except ValidationError as error:
            log.error("event cannot be read", event_type=name, event_id=message.message_id, error=_short(error))
            return await self._bury(message, name)
        job_id = getattr(event, "job_id", None)
        parent = message.headers.get("traceparent")
        with context.bound(
            correlation_id=event.correlation_id,
            traceparent=context.child_traceparent(parent if isinstance(parent, str) else None),
            job_id=job_id,
        ):
            async with self._lane(str(job_id or event.event_id)):
                self._count(name, "started")
                with metrics.HANDLING_SECONDS.labels(self._service, name).time():
                    await self._settle(message, event)
        return None

    async def _settle(self, message: AbstractIncomingMessage, event: Event) -> None:
        """Apply the event until that succeeds, fails for good, or has to wait longer than we may hold a message."""
        name = event.type_name()
        begun = monotonic()
        delay = 0.2
        while True:
            try:
                fresh = await self._apply(event)
            except Exception as error:
                if not is_outage(error):
                    return await self._put_back(message, name, error)
                log.warning("event is kept until the outage is over", event_type=name, error=_short(error))
                self._count(name, "retried")
            else:
                self._count(name, "done" if fresh else "duplicate")
                await self._subscription.ack(message)
                return None
            if self._stopping.is_set() or monotonic() - begun > _LONGEST_OUTAGE_IN_HAND:
                self._count(name, "handed_back")
                await self._subscription.hand_back(message)
                return None
            await self._pause(delay * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            delay = min(2 * delay, 10.0)

    async def _apply(self, event: Event) -> bool:
        """Mark and handle the event in one transaction; False if it was handled before."""
        async with self._sessions.begin() as session:
            mark = insert(self._inbox).values(consumer=self._service, event_id=event.event_id)
            marked = await session.scalar(mark.on_conflict_do_nothing().returning(self._inbox.event_id))
            if marked is None:
                return False
            await self._handlers[type(event)](event, session, self._resources)
            return True

    async def _put_back(self, message: AbstractIncomingMessage, name: str, error: Exception) -> None:
        delivery = delivery_count(message)
        last = delivery >= self._deliveries
        log.error("event handler failed", event_type=name, delivery=delivery, last=last, exc_info=error)
        self._count(name, "dead" if last else "requeued")
        if last:
            return await self._subscription.bury(message, "delivery_limit")
        await self._pause(self._retry_delay)
        return await self._subscription.reject(message, requeue=True)

    async def _bury(self, message: AbstractIncomingMessage, name: str) -> None:
        self._count(name, "dead")
        await self._subscription.bury(message, "rejected")

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not through a stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    @asynccontextmanager
    async def _lane(self, key: str) -> AsyncIterator[None]:
        """Let the events of one job pass one by one, in the order in which they asked."""
        lock, waiting = self._lanes.get(key) or (asyncio.Lock(), 0)
        self._lanes[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._lanes[key]
            if waiting == 1:
                del self._lanes[key]
            else:
                self._lanes[key] = (lock, waiting - 1)

    async def _prune_forever(self) -> None:
        while True:
            try:
                async with self._sessions.begin() as session:
                    await session.execute(
                        delete(self._inbox).where(self._inbox.received_at < func.now() - _INBOX_KEEPS)
                    )
            except Exception as error:
                log.warning("inbox was not pruned", error=_short(error))
            await asyncio.sleep(_PRUNE_EVERY)

    def _count(self, name: str, outcome: str) -> None:
        metrics.CONSUMED.labels(self._service, name, outcome).inc()


def _compare(service: str, subscriptions: Subscriptions[R]) -> None:
    """Compare the table with the catalogue, from which the queue's bindings are made, and handlers with their keys."""
    expected = {event for event, services in SUBSCRIBERS.items() if service in services}
    if set(subscriptions) != expected:
        names = ", ".join(sorted(event.routing_key for event in expected ^ set(subscriptions)))
        raise ValueError(f"the subscriptions of {service} and the catalogue's SUBSCRIBERS differ in: {names}")
    for event, handler in subscriptions.items():
        first = next(iter(inspect.signature(handler, eval_str=True).parameters.values()))
        if not (isinstance(first.annotation, type) and issubclass(event, first.annotation)):
            raise TypeError(f"{handler} is subscribed to {event.__name__} but takes {first.annotation}")


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
