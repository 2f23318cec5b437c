"""Plain consumers that take whatever lies in a queue, in batches."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aio_pika.abc import AbstractIncomingMessage

from . import metrics
from .broker import Broker
from .subscription import DELIVERIES, DIED_IN, DIED_OF, Subscription, delivery_count
from .topology import DEAD_LETTERS, JOBS_LOGS, QueueSpec, deliveries_until_dead

log = structlog.get_logger(__name__)

_QUEUES = {spec.name: spec for spec in (DEAD_LETTERS, JOBS_LOGS)}
_PAUSE_AFTER_FAILURE = 1.0


@dataclass(frozen=True)
class RawMessage:
    """A message as it came.

    Of a dead letter, `queue` is where it died and `reason` why: "rejected" (it could not be read) or "delivery_limit"
    (its handler failed `count` times). Of any other message, `queue` is where it was taken from and `reason` is None.
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
    """Hands batches of messages from one of the standing queues to a callback and acknowledges them after it returned.

    A callback that raises gets the same batch again after a pause, for as long as it takes.
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
        """Wire a consumer; a batch is handed over when it is full or `linger` seconds after its first message."""
        self._spec: QueueSpec = _QUEUES[queue]
        self._callback = callback
        self._batch = batch
        self._linger = linger
        # Twice a batch: the next one arrives while the callback is busy with this one.
        self._subscription = Subscription(broker, self._spec, 2 * batch, self._take)
        self._arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to consume; raises BrokerUnavailable."""
        await self._subscription.start()
        self._loop = asyncio.create_task(self._work(), name=f"consumer of {self._spec.name}")

    async def stop(self) -> None:
        """Take no more messages; those not acknowledged stay in the queue."""
        await self._subscription.cancel()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        await self._subscription.close()

    async def check(self) -> None:
        """Raise BrokerUnavailable unless messages can reach us."""
        await self._subscription.check()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self._arrived.put_nowait(message)

    async def _work(self) -> None:
        while True:
            batch = await self._collect()
            await self._hand_over([_raw(self._spec.name, message) for message in batch])
            metrics.CONSUMED.labels(self._spec.name, "batch", "done").inc(len(batch))
            # The channel is this queue's alone: all that came before the last of the batch is in it, or in one before.
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

    async def _hand_over(self, raw: list[RawMessage]) -> None:
        while True:
            try:
                return await self._callback(raw)
            except Exception:
                metrics.CONSUMED.labels(self._spec.name, "batch", "retried").inc(len(raw))
                log.exception("batch failed", queue=self._spec.name, size=len(raw))
            await asyncio.sleep(_PAUSE_AFTER_FAILURE)


class DeadLetterConsumer(QueueConsumer):
    """Hands dead letters to a callback."""

    def __init__(self, broker: Broker, *, callback: Callable[[list[RawMessage]], Awaitable[None]]) -> None:
        """Wire a consumer; dead letters are rare, so each is handed over at once."""
        super().__init__(broker, queue=DEAD_LETTERS.name, callback=callback, batch=20, linger=0.0)


def _raw(queue: str, message: AbstractIncomingMessage) -> RawMessage:
    headers = dict(message.headers)
    reason: str | None
    if DIED_IN in headers:
        died_in, reason = str(headers.pop(DIED_IN)), str(headers.pop(DIED_OF, "rejected"))
        count = headers.pop(DELIVERIES, 1)
    else:
        deaths = headers.get("x-death")
        death: Mapping[str, Any] = (
            deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
        )
        reason = str(death["reason"]) if "reason" in death else None
        died_in = str(death.get("queue", queue))
        # The broker counts deliveries in each queue anew.
        count = deliveries_until_dead(died_in) if reason == "delivery_limit" else delivery_count(message)
    return RawMessage(
        routing_key=message.routing_key or "",
        body=message.body,
        headers=headers,
        queue=died_in,
        reason=reason,
        count=count if isinstance(count, int) else 1,
        message_id=message.message_id,
        message_type=message.type,
        correlation_id=message.correlation_id,
    )
