"""Consumers that pass raw messages to a callback in batches."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aio_pika.abc import AbstractIncomingMessage

from . import metrics
from .broker import Broker
from .subscription import DEAD_LETTER_QUEUE, DEAD_LETTER_REASON, DELIVERIES, Subscription, delivery_count
from .topology import DEAD_LETTERS, JOBS_LOGS, QueueSpec, deliveries_until_dead

log = structlog.get_logger(__name__)

_QUEUES = {spec.name: spec for spec in (DEAD_LETTERS, JOBS_LOGS)}
_PAUSE_AFTER_FAILURE = 1.0


@dataclass(frozen=True)
class RawMessage:
    """A message as received.

    For a dead letter, `queue` is the queue that dead-lettered it and `reason` is "rejected" (not readable) or
    "delivery_limit" (its handler failed `count` times). Otherwise `queue` is its queue and `reason` is None.
    """

    routing_key: str
    body: bytes
    headers: Mapping[str, Any]
    queue: str
    reason: str | None
    count: int
    message_id: str | None
    message_type: str | None
    correlation_id: str | None


class QueueConsumer:
    """Calls back with batches of messages of a standing queue and acknowledges them after the callback returned.

    When the callback raises, it is called again with the same batch after a pause, until it returns.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        queue: str,
        callback: Callable[[list[RawMessage]], Awaitable[None]],
        batch: int = 200,
        linger: float = 0.2,
    ) -> None:
        """A batch ends when it has `batch` messages, or `linger` seconds after its first message."""
        self._spec: QueueSpec = _QUEUES[queue]
        self._callback = callback
        self._batch = batch
        self._linger = linger
        # Twice a batch: the next batch is delivered while the callback processes this one.
        self._subscription = Subscription(broker, self._spec, 2 * batch, self._take)
        self._arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to consume; raises BrokerUnavailable."""
        await self._subscription.start()
        self._loop = asyncio.create_task(self._work(), name=f"consumer of {self._spec.name}")

    async def stop(self) -> None:
        """Stop consuming; unacknowledged messages stay in the queue."""
        await self._subscription.cancel()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        await self._subscription.close()

    async def check(self) -> None:
        """Raise BrokerUnavailable unless the broker delivers messages."""
        await self._subscription.check()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self._arrived.put_nowait(message)

    async def _work(self) -> None:
        while True:
            batch = await self._collect()
            await self._process([_raw(self._spec.name, message) for message in batch])
            metrics.CONSUMED.labels(self._spec.name, "batch", "done").inc(len(batch))
            # Only this consumer uses the channel: every earlier delivery is in this batch or in an acknowledged one.
            await self._subscription.ack(batch[-1], multiple=True)

    async def _collect(self) -> list[AbstractIncomingMessage]:
        batch = [await self._arrived.get()]
        deadline = asyncio.get_running_loop().time() + self._linger
        try:
            async with asyncio.timeout_at(deadline):
                while len(batch) < self._batch:
                    batch.append(await self._arrived.get())
        except TimeoutError:
            pass
        return batch

    async def _process(self, raw: list[RawMessage]) -> None:
        while True:
            try:
                return await self._callback(raw)
            except Exception:
                metrics.CONSUMED.labels(self._spec.name, "batch", "retried").inc(len(raw))
                log.exception("batch failed", queue=self._spec.name, size=len(raw))
            await asyncio.sleep(_PAUSE_AFTER_FAILURE)


class DeadLetterConsumer(QueueConsumer):
    """Calls back with dead letters."""

    def __init__(self, broker: Broker, *, callback: Callable[[list[RawMessage]], Awaitable[None]]) -> None:
        """Dead letters are rare: the callback is called at once for each."""
        super().__init__(broker, queue=DEAD_LETTERS.name, callback=callback, batch=20, linger=0.0)


def _raw(queue: str, message: AbstractIncomingMessage) -> RawMessage:
    headers = dict(message.headers)
    reason: str | None
    if DEAD_LETTER_QUEUE in headers:
        queue_name, reason = str(headers.pop(DEAD_LETTER_QUEUE)), str(headers.pop(DEAD_LETTER_REASON, "rejected"))
        count = headers.pop(DELIVERIES, 1)
    else:
        deaths = headers.get("x-death")
        death: Mapping[str, Any] = (
            deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
        )
        reason = str(death["reason"]) if "reason" in death else None
        queue_name = str(death.get("queue", queue))
        # The broker counts deliveries per queue.
        count = deliveries_until_dead(queue_name) if reason == "delivery_limit" else delivery_count(message)
    return RawMessage(
        routing_key=message.routing_key or "",
        body=message.body,
        headers=headers,
        queue=queue_name,
        reason=reason,
        count=count if isinstance(count, int) else 1,
        message_id=message.message_id,
        message_type=message.type,
        correlation_id=message.correlation_id,
    )
