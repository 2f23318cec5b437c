"""Consume broadcasts from an exclusive queue that the broker deletes with the connection."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from . import metrics

log = structlog.get_logger(__name__)

_BUFFER = 10_000


class Listener:
    """Calls back with one broadcast message at a time; drops the oldest when the callback is too slow."""

    def __init__(
        self,
        exchange: str,
        channel: AbstractRobustChannel,
        queue: AbstractRobustQueue,
        callback: Callable[[str, bytes], Awaitable[None]],
    ) -> None:
        """Use `Broker.listen` instead."""
        self._exchange = exchange
        self._channel = channel
        self._queue = queue
        self._callback = callback
        self._buffer: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_BUFFER)
        self._pump: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._pump = asyncio.create_task(self._call_back(), name=f"listener on {self._exchange}")
        await self._queue.consume(self._take, no_ack=True)

    async def close(self) -> None:
        """Stop consuming and drop the buffer."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
        try:
            await self._channel.close()
        except CONNECTION_EXCEPTIONS as error:
            # The broker deletes the exclusive queue with the connection.
            log.debug("listener channel already closed", exchange=self._exchange, error=str(error))

    async def _take(self, message: AbstractIncomingMessage) -> None:
        # No await here: the order of the messages is kept.
        if self._buffer.full():
            self._buffer.get_nowait()
            metrics.LISTENER_DROPPED.labels(self._exchange).inc()
        self._buffer.put_nowait((message.routing_key or "", message.body))

    async def _call_back(self) -> None:
        while True:
            key, body = await self._buffer.get()
            try:
                await self._callback(key, body)
            except Exception:
                log.exception("listener failed", exchange=self._exchange, routing_key=key)
