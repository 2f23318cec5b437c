"""Consume commands from a work queue; their tasks survive the loss of the channel."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from aio_pika.abc import AbstractIncomingMessage
from pydantic import ValidationError

from common import context
from common.events import Command

from . import metrics
from .broker import Broker
from .errors import BrokerUnavailable, PublishFailed, RetryLater
from .exclusive import ExclusiveExecution
from .subscription import Subscription, delivery_count
from .topology import deliveries_until_dead, work_queue

log = structlog.get_logger(__name__)

C = TypeVar("C", bound=Command)

_COMPLETED_KEPT = 1000
_SUSPECT = "suspect"


@dataclass(frozen=True)
class Delivery:
    """The number of the delivery, from 1, and whether another worker may have run the command before."""

    count: int
    redelivered: bool
    extra: bool = False  # fetched by `take_more`


class WorkConsumer(Generic[C]):
    """Consumes commands from one work queue, `prefetch` at a time.

    A command is acknowledged after its handler returned. When the channel closes meanwhile, the task continues, and the
    redelivered message is attached to it. When the handler raises, the command is requeued; after the third failed
    delivery it is dead-lettered. After RetryLater or an outage of the broker it is requeued without counting the
    delivery. A redelivered command may have crashed its worker, so it runs exclusively.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        queue: str,
        command: type[C],
        handler: Callable[[C, Delivery], Awaitable[None]],
        prefetch: int = 1,
        retry_delay: float = 1.0,
        exclusive: ExclusiveExecution | None = None,
    ) -> None:
        """All consumers of one process share `exclusive`."""
        spec = work_queue(queue)
        self._queue = queue
        self._deliveries = deliveries_until_dead(queue)
        self._command = command
        self._handler = handler
        self._retry_delay = retry_delay
        self._exclusive = exclusive or ExclusiveExecution()
        self._subscription = Subscription(broker, spec, prefetch, self._on_message)
        # A task continues here when the channel closed and its message went to another worker: it keeps its slot.
        self._slots = asyncio.Semaphore(prefetch)
        self._work: dict[str, asyncio.Task[None]] = {}
        self._messages: set[asyncio.Task[None]] = set()
        # An acknowledgement can get lost with its channel: the message is then redelivered after its task completed.
        self._done: OrderedDict[str, None] = OrderedDict()
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin to consume; raises BrokerUnavailable."""
        self._stopping.clear()
        await self._subscription.start()

    async def stop(self, timeout: float = 0.0) -> None:
        """Stop consuming, finish running commands within `timeout` seconds and requeue the rest without counting."""
        self._stopping.set()
        await self._subscription.cancel()
        running = {*self._work.values(), *self._messages}
        if running:
            await asyncio.wait(running, timeout=timeout)
        unfinished = [task for task in self._work.values() if task.cancel()]
        # The task of each message then hands the message back.
        remaining = {*unfinished, *self._messages}
        if remaining:
            await asyncio.wait(remaining)
        await self._subscription.close()

    async def pause(self) -> None:
        """Stop consuming until `resume`; running commands continue and are acknowledged."""
        await self._subscription.cancel()

    async def resume(self) -> None:
        """Consume again after `pause`; raises BrokerUnavailable."""
        await self._subscription.resume()

    async def take_more(self) -> C | None:
        """Fetch and start one command beyond `prefetch`; None if the queue is empty or a stop or suspect is pending."""
        if self._stopping.is_set() or self._exclusive.requested:
            return None
        if (message := await self._subscription.get()) is None:
            return None
        try:
            command = self._command.model_validate_json(message.body)
        except ValidationError:
            command = None
        taking = asyncio.create_task(self._on_message(message, extra=True))
        self._messages.add(taking)
        taking.add_done_callback(self._messages.discard)
        return command

    async def check(self) -> None:
        """Raise BrokerUnavailable unless the broker delivers commands."""
        await self._subscription.check()

    async def _on_message(self, message: AbstractIncomingMessage, *, extra: bool = False) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._messages.add(task)
        try:
            await self._take(message, extra=extra)
        finally:
            self._messages.discard(task)

    async def _take(self, message: AbstractIncomingMessage, *, extra: bool) -> None:
        try:
            command = self._command.model_validate_json(message.body)
        except ValidationError as error:
            log.error("command not readable", queue=self._queue, message_id=message.message_id, error=str(error))
            self._count("dead")
            return await self._subscription.dead_letter(message, "rejected")
        if str(command.event_id) in self._done:
            self._count("duplicate")
            await self._subscription.ack(message)
            return None
        work = self._attach(command, message, extra=extra)
        try:
            # Shielded: when the channel closes, the client library cancels this callback; the work must continue.
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if not (work.cancelled() and self._stopping.is_set()):
                raise
            self._count("handed_back")
            await self._subscription.hand_back(message)
        except Exception as error:
            if isinstance(error, RetryLater | PublishFailed | BrokerUnavailable):
                await self._requeue_uncounted(message, command, error)
            else:
                await self._requeue_or_dead_letter(message, command, error)
        else:
            self._count("done")
            await self._subscription.ack(message)
        return None

    def _attach(self, command: C, message: AbstractIncomingMessage, *, extra: bool) -> asyncio.Task[None]:
        """Start the work unless it already runs."""
        work = self._work.get(command.key)
        if work is not None:
            self._count("reattached")
            log.info("redelivered message attached to running work", queue=self._queue, key=command.key)
            return work
        parent = message.headers.get("traceparent")
        count = delivery_count(message)
        with context.bound(
            correlation_id=command.correlation_id,
            traceparent=context.child_traceparent(parent if isinstance(parent, str) else None),
            job_id=getattr(command, "job_id", None),
        ):
            # The task copies the context: the values stay bound while it runs.
            delivered = Delivery(count, _is_suspect(message), extra)
            work = asyncio.create_task(self._run(command, delivered), name=command.key)
        self._work[command.key] = work
        work.add_done_callback(lambda finished: self._finished(command, finished))
        return work

    async def _run(self, command: C, delivery: Delivery) -> None:
        slot = nullcontext() if delivery.extra else self._slots
        async with slot, self._exclusive.acquire(suspect=delivery.redelivered):
            self._count("started")
            with metrics.HANDLING_SECONDS.labels(self._queue, command.name).time():
                await self._handler(command, delivery)

    def _finished(self, command: C, work: asyncio.Task[None]) -> None:
        del self._work[command.key]
        # Reading the exception also prevents a warning of asyncio when no message is attached any more.
        if work.cancelled() or work.exception() is not None:
            return
        self._done[str(command.event_id)] = None
        if len(self._done) > _COMPLETED_KEPT:
            self._done.popitem(last=False)

    async def _requeue_uncounted(self, message: AbstractIncomingMessage, command: C, error: Exception) -> None:
        """Requeue a message after a pause without counting the delivery."""
        log.warning("work postponed", queue=self._queue, key=command.key, error=str(error))
        self._count("handed_back")
        await self._pause(self._retry_delay)
        await self._subscription.hand_back(message, {_SUSPECT: True} if _is_suspect(message) else {})

    async def _requeue_or_dead_letter(self, message: AbstractIncomingMessage, command: C, error: Exception) -> None:
        count = delivery_count(message)
        last = count >= self._deliveries
        log.error("work failed", queue=self._queue, key=command.key, delivery=count, last=last, exc_info=error)
        self._count("dead" if last else "requeued")
        if last:
            return await self._subscription.dead_letter(message, "delivery_limit")
        await self._pause(self._retry_delay)
        return await self._subscription.reject(message, requeue=True)

    async def _pause(self, seconds: float) -> None:
        """Sleep until the time is over or the consumer stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _count(self, outcome: str) -> None:
        metrics.CONSUMED.labels(self._queue, self._command.name, outcome).inc()


def _is_suspect(message: AbstractIncomingMessage) -> bool:
    """Whether a worker may have crashed while it processed the message; a copy has a header for it."""
    return bool(message.redelivered) or delivery_count(message) > 1 or _SUSPECT in message.headers
