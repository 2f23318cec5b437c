"""The worker's entrance: commands with one taker at a time, worked on in tasks that outlive the channel."""

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
from .caution import Caution
from .errors import BrokerUnavailable, NotNow, PublishFailed
from .subscription import Subscription, delivery_count
from .topology import deliveries_until_dead, work_queue

log = structlog.get_logger(__name__)

C = TypeVar("C", bound=Command)

_DONE_REMEMBERED = 1000
_SUSPECT = "suspect"


@dataclass(frozen=True)
class Delivery:
    """How a command came: for which time, from 1, and whether it may have been in somebody's hands before."""

    count: int
    redelivered: bool
    extra: bool = False  # asked for by `take_more`


class WorkConsumer(Generic[C]):
    """Takes commands from one work queue, `prefetch` at a time.

    A command is acknowledged after its handler returned. When the channel dies meanwhile, the work goes on, and the
    redelivered message attaches to it. A handler that raises puts the command back; the third failed delivery is
    dead-lettered. NotNow and an outage of the broker are not the command's fault: it goes back uncounted,
    after a pause. What was in somebody's hands before may have killed its worker, so it runs alone.
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
        caution: Caution | None = None,
    ) -> None:
        """Wire a consumer; nothing is consumed yet. The consumers of one process share their caution."""
        spec = work_queue(queue)
        self._queue = queue
        self._deliveries = deliveries_until_dead(queue)
        self._command = command
        self._handler = handler
        self._retry_delay = retry_delay
        self._caution = caution or Caution()
        self._subscription = Subscription(broker, spec, prefetch, self._on_message)
        # Work whose message went to another worker when the channel died goes on here: it counts as work in hand.
        self._slots = asyncio.Semaphore(prefetch)
        self._work: dict[str, asyncio.Task[None]] = {}
        self._messages: set[asyncio.Task[None]] = set()
        # An acknowledgement can get lost with its channel: the same message then comes again although its work is done.
        self._done: OrderedDict[str, None] = OrderedDict()
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin to consume; raises BrokerUnavailable."""
        self._stopping.clear()
        await self._subscription.start()

    async def stop(self, timeout: float = 0.0) -> None:
        """Take no more commands, finish those in hand within `timeout` seconds and hand the rest back uncounted."""
        self._stopping.set()
        await self._subscription.cancel()
        in_hand = {*self._work.values(), *self._messages}
        if in_hand:
            await asyncio.wait(in_hand, timeout=timeout)
        unfinished = [task for task in self._work.values() if task.cancel()]
        # Each message's task sees its work cancelled, and hands the message back.
        remaining = {*unfinished, *self._messages}
        if remaining:
            await asyncio.wait(remaining)
        await self._subscription.close()

    async def pause(self) -> None:
        """Take no more commands for now; those in hand go on and are acknowledged."""
        await self._subscription.cancel()

    async def resume(self) -> None:
        """Take commands again after `pause`; raises BrokerUnavailable."""
        await self._subscription.resume()

    async def take_more(self) -> C | None:
        """Take one more command than `prefetch` allows and begin to work on it; None if there is none to be had now."""
        if self._stopping.is_set() or self._caution.suspecting:
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
        """Raise BrokerUnavailable unless commands can reach us."""
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
            log.error("command cannot be read", queue=self._queue, message_id=message.message_id, error=str(error))
            self._count("dead")
            return await self._subscription.bury(message, "rejected")
        if str(command.event_id) in self._done:
            self._count("duplicate")
            await self._subscription.ack(message)
            return None
        work = self._attach(command, message, extra=extra)
        try:
            # Shielded: when the channel dies, the client library cancels this callback but not the work.
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if not (work.cancelled() and self._stopping.is_set()):
                raise
            self._count("handed_back")
            await self._subscription.hand_back(message)
        except Exception as error:
            if isinstance(error, NotNow | PublishFailed | BrokerUnavailable):
                await self._give_back(message, command, error)
            else:
                await self._put_back(message, command, error)
        else:
            self._count("done")
            await self._subscription.ack(message)
        return None

    def _attach(self, command: C, message: AbstractIncomingMessage, *, extra: bool) -> asyncio.Task[None]:
        """Start the work unless it is in hand already."""
        work = self._work.get(command.key)
        if work is not None:
            self._count("reattached")
            log.info("message came again while its work goes on", queue=self._queue, key=command.key)
            return work
        parent = message.headers.get("traceparent")
        count = delivery_count(message)
        with context.bound(
            correlation_id=command.correlation_id,
            traceparent=context.child_traceparent(parent if isinstance(parent, str) else None),
            job_id=getattr(command, "job_id", None),
        ):
            # The task copies the context, so what is bound here stays bound for the whole work.
            delivered = Delivery(count, _is_suspect(message), extra)
            work = asyncio.create_task(self._run(command, delivered), name=command.key)
        self._work[command.key] = work
        work.add_done_callback(lambda finished: self._finished(command, finished))
        return work

    async def _run(self, command: C, delivery: Delivery) -> None:
        slot = nullcontext() if delivery.extra else self._slots
        async with slot, self._caution.holding(suspect=delivery.redelivered):
            self._count("started")
            with metrics.HANDLING_SECONDS.labels(self._queue, command.name).time():
                await self._handler(command, delivery)

    def _finished(self, command: C, work: asyncio.Task[None]) -> None:
        del self._work[command.key]
        # Asking for the exception also keeps asyncio from complaining when no message is attached any more.
        if work.cancelled() or work.exception() is not None:
            return
        self._done[str(command.event_id)] = None
        if len(self._done) > _DONE_REMEMBERED:
            self._done.popitem(last=False)

    async def _give_back(self, message: AbstractIncomingMessage, command: C, error: Exception) -> None:
        """Let another worker, or a later moment, have it."""
        log.warning("work is not possible now", queue=self._queue, key=command.key, error=str(error))
        self._count("handed_back")
        await self._pause(self._retry_delay)
        await self._subscription.hand_back(message, {_SUSPECT: True} if _is_suspect(message) else {})

    async def _put_back(self, message: AbstractIncomingMessage, command: C, error: Exception) -> None:
        count = delivery_count(message)
        last = count >= self._deliveries
        log.error("work failed", queue=self._queue, key=command.key, delivery=count, last=last, exc_info=error)
        self._count("dead" if last else "requeued")
        if last:
            return await self._subscription.bury(message, "delivery_limit")
        await self._pause(self._retry_delay)
        return await self._subscription.reject(message, requeue=True)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not through a stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _count(self, outcome: str) -> None:
        metrics.CONSUMED.labels(self._queue, self._command.name, outcome).inc()


def _is_suspect(message: AbstractIncomingMessage) -> bool:
    """Whether the message may have been in the hands of a worker that died; a copy says so in a header."""
    return bool(message.redelivered) or delivery_count(message) > 1 or _SUSPECT in message.headers
