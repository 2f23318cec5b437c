"""Consume the events of a service; the effect of an event and its inbox row are committed in one transaction."""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from time import monotonic
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import structlog
from aio_pika.abc import AbstractIncomingMessage
from pydantic import ValidationError
from sqlalchemy import ARRAY, Uuid, bindparam, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.sql.dml import ReturningInsert

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
# The handler of an event accepts only that event. Types cannot express this for a mapping, hence Any; the consumer
# compares the annotation of each handler with its key.
Subscriptions = Mapping[type[Event], Callable[[Any, AsyncSession, R], Awaitable[None]]]

_PREFETCH: Final = 96
# Waiting events of different jobs share a transaction: a commit costs about as much as a handler.
_BATCH: Final = 32
# When a transaction takes longer than this, others begin in parallel, up to a maximum.
_LONG_SECONDS: Final = 0.5
_MAX_TRANSACTIONS: Final = 8
# Below the broker's consumer timeout of 30 minutes, after which it redelivers the message and counts a delivery.
_MAX_HOLD_SECONDS = 15 * 60.0
_INBOX_KEEPS = timedelta(days=30)
_PRUNE_EVERY = 3600.0


@dataclass(frozen=True, eq=False)
class _Arrival:
    """An unacknowledged event; events with the same key are handled in the order of their arrival."""

    message: AbstractIncomingMessage
    event: Event
    key: str

    @property
    def name(self) -> str:
        return self.event.type_name()

    @property
    def suspect(self) -> bool:
        return bool(self.message.redelivered)

    @contextmanager
    def context(self) -> Iterator[None]:
        """Continue the trace of the event."""
        parent = self.message.headers.get("traceparent")
        with context.bound(
            correlation_id=self.event.correlation_id,
            traceparent=context.child_traceparent(parent if isinstance(parent, str) else None),
            job_id=getattr(self.event, "job_id", None),
        ):
            yield


class EventConsumer(Generic[R]):
    """Consumes the event queue of a service.

    Events of one job are handled in the order of their arrival. Waiting events are applied in one transaction; if it
    fails, each event is applied in its own transaction. An unreadable or unknown event is dead-lettered at once. During
    an outage of the database, the store or the broker, events are held and retried; after any other exception the event
    is requeued, and dead-lettered after its last delivery.
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
        """Raises TypeError or ValueError when the subscriptions do not match the catalogue."""
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
        self._waiting: list[_Arrival] = []
        # The keys of the events that each task handles, and its start time.
        self._busy: dict[asyncio.Task[None], tuple[set[str], float]] = {}
        self._dispatching: asyncio.Handle | None = None
        self._stopping = asyncio.Event()
        self._pruning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to consume; raises BrokerUnavailable."""
        self._stopping.clear()
        await self._subscription.start()
        self._pruning = asyncio.create_task(self._prune_forever(), name=f"{self._service} inbox pruning")

    async def stop(self, timeout: float = 10.0) -> None:
        """Stop consuming and finish held events; those not finished within `timeout` seconds are requeued."""
        self._stopping.set()
        await self._subscription.cancel()
        self._dispatch()
        deadline = monotonic() + timeout
        while self._busy and (left := deadline - monotonic()) > 0:
            # A task that ends starts the next batch: prefetched events must be handled, a requeue counts as a delivery.
            await asyncio.wait(self._busy, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        self._waiting.clear()
        if late := [task for task in self._busy if task.cancel()]:
            await asyncio.wait(late)
        await self._subscription.close()
        if self._pruning is not None:
            self._pruning.cancel()
            await asyncio.wait([self._pruning])

    async def check(self) -> None:
        """Raise BrokerUnavailable unless the broker delivers events."""
        await self._subscription.check()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        name = message.type or message.routing_key or "?"
        event_type = self._types.get(name)
        if event_type is None:
            log.error("event without a handler", event_type=name, event_id=message.message_id)
            return await self._dead_letter(message, "unknown")
        try:
            event = event_type.model_validate_json(message.body)
        except ValidationError as error:
            log.error("event not readable", event_type=name, event_id=message.message_id, error=_short(error))
            return await self._dead_letter(message, name)
        key = str(getattr(event, "job_id", None) or event.event_id)
        self._waiting.append(_Arrival(message, event, key))
        # Not at once: events that arrive together are handled together.
        self._dispatch_later(0.0)
        return None

    def _dispatch_later(self, seconds: float) -> None:
        if self._dispatching is not None:
            self._dispatching.cancel()
        self._dispatching = asyncio.get_running_loop().call_later(seconds, self._dispatch)

    def _dispatch(self) -> None:
        """Start a batch of waiting events, unless a transaction started recently: then collect more events."""
        self._dispatching = None
        if not self._waiting or len(self._busy) >= _MAX_TRANSACTIONS:
            return None
        if self._busy:
            youngest = max(since for _, since in self._busy.values())
            if (delay := youngest + _LONG_SECONDS - monotonic()) > 0:
                return self._dispatch_later(delay)
        taken = {key for keys, _ in self._busy.values() for key in keys}
        free = [arrival for arrival in self._waiting if arrival.key not in taken][:_BATCH]
        # A redelivered event may have crashed its process: it is handled alone, so that no other event is affected.
        alone = bool(free) and free[0].suspect
        batch = free[:1] if alone else list(takewhile(lambda arrival: not arrival.suspect, free))
        if batch:
            chosen = set(map(id, batch))
            self._waiting = [arrival for arrival in self._waiting if id(arrival) not in chosen]
            # A separate task: the client library cancels its callbacks when the channel closes.
            task = asyncio.create_task(self._handle(batch), name=f"{self._service} events")
            self._busy[task] = ({arrival.key for arrival in batch}, monotonic())
            task.add_done_callback(self._done)
        return None

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._busy[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("event task failed", exc_info=error)
        self._dispatch()

    async def _handle(self, batch: Sequence[_Arrival]) -> None:
        """Apply events in one transaction or, if that fails, each in its own."""
        # Jobs in a fixed order: transactions cannot deadlock.
        batch = sorted(batch, key=lambda arrival: arrival.key)
        for arrival in batch:
            self._count(arrival.name, "started")
        if len(batch) > 1:
            try:
                fresh = await self._apply(batch)
            except Exception as error:
                log.debug("batch failed, handling events separately", events=len(batch), error=_short(error))
            else:
                for arrival, is_fresh in zip(batch, fresh, strict=True):
                    await self._acknowledge(arrival, fresh=is_fresh)
                return
        of_jobs: dict[str, list[_Arrival]] = {}
        for arrival in batch:
            of_jobs.setdefault(arrival.key, []).append(arrival)
        await asyncio.gather(*(self._one_by_one(arrivals) for arrivals in of_jobs.values()))

    async def _one_by_one(self, arrivals: Sequence[_Arrival]) -> None:
        for arrival in arrivals:
            with arrival.context():
                await self._apply_with_retries(arrival)

    async def _acknowledge(self, arrival: _Arrival, *, fresh: bool) -> None:
        self._count(arrival.name, "done" if fresh else "duplicate")
        await self._subscription.ack(arrival.message)

    async def _apply_with_retries(self, arrival: _Arrival) -> None:
        """Apply an event with retries until it succeeds, fails for good, or the hold time of a message is over."""
        name, message = arrival.name, arrival.message
        begun = monotonic()
        delay = 0.2
        while True:
            try:
                (fresh,) = await self._apply([arrival])
            except Exception as error:
                if not is_outage(error):
                    return await self._requeue_or_dead_letter(message, name, error)
                log.warning("event held during an outage", event_type=name, error=_short(error))
                self._count(name, "retried")
            else:
                return await self._acknowledge(arrival, fresh=fresh)
            if self._stopping.is_set() or monotonic() - begun > _MAX_HOLD_SECONDS:
                self._count(name, "handed_back")
                await self._subscription.hand_back(message)
                return None
            await self._pause(delay * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
            delay = min(2 * delay, 10.0)

    async def _apply(self, arrivals: Sequence[_Arrival]) -> list[bool]:
        """Insert inbox rows and handle events in one transaction; return for each event whether it was new."""
        fresh = []
        async with self._sessions.begin() as session:
            ids = [arrival.event.event_id for arrival in arrivals]
            new: set[UUID] = set(await session.scalars(self._insert_inbox(), {"ids": ids}))
            for arrival in arrivals:
                event = arrival.event
                fresh.append(event.event_id in new)
                new.discard(event.event_id)  # a second copy in the batch is a duplicate
                if fresh[-1]:
                    with arrival.context(), metrics.HANDLING_SECONDS.labels(self._service, arrival.name).time():
                        await self._handlers[type(event)](event, session, self._resources)
        return fresh

    def _insert_inbox(self) -> ReturningInsert[Any]:
        """A statement that inserts inbox rows and returns the ids of the new ones."""
        inbox = self._inbox.__table__  # type: ignore[attr-defined]  # only a mixin has none
        ids = bindparam("ids", type_=ARRAY(Uuid))
        return (
            insert(inbox)
            .from_select(["consumer", "event_id"], select(literal(self._service), func.unnest(ids)))
            .on_conflict_do_nothing()
            .returning(inbox.c.event_id)
        )

    async def _requeue_or_dead_letter(self, message: AbstractIncomingMessage, name: str, error: Exception) -> None:
        delivery = delivery_count(message)
        last = delivery >= self._deliveries
        log.error("event handler failed", event_type=name, delivery=delivery, last=last, exc_info=error)
        self._count(name, "dead" if last else "requeued")
        if last:
            return await self._subscription.dead_letter(message, "delivery_limit")
        await self._pause(self._retry_delay)
        return await self._subscription.reject(message, requeue=True)

    async def _dead_letter(self, message: AbstractIncomingMessage, name: str) -> None:
        self._count(name, "dead")
        await self._subscription.dead_letter(message, "rejected")

    async def _pause(self, seconds: float) -> None:
        """Sleep until the time is over or the consumer stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _prune_forever(self) -> None:
        while True:
            try:
                async with self._sessions.begin() as session:
                    await session.execute(
                        delete(self._inbox).where(self._inbox.received_at < func.now() - _INBOX_KEEPS)
                    )
            except Exception as error:
                log.warning("inbox pruning failed", error=_short(error))
            await asyncio.sleep(_PRUNE_EVERY)

    def _count(self, name: str, outcome: str) -> None:
        metrics.CONSUMED.labels(self._service, name, outcome).inc()


def _compare(service: str, subscriptions: Subscriptions[R]) -> None:
    """Compare the subscriptions with the catalogue, which defines the bindings, and handlers with their keys."""
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
