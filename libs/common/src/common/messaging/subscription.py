"""One consumer of one queue that survives reconnects."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiormq
import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustQueue
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from .broker import Broker, declare
from .envelope import Envelope
from .errors import BrokerUnavailable, PublishFailed
from .topology import DEAD, QueueSpec

log = structlog.get_logger(__name__)

_CHECK_TIMEOUT = 2.0
# Headers of a message that a consumer dead-lettered: the queue, the reason and the number of deliveries.
DEAD_LETTER_QUEUE, DEAD_LETTER_REASON, DELIVERIES = "died-in", "died-of", "deliveries"
_CONNECTION_ERRORS = (*CONNECTION_EXCEPTIONS, TimeoutError)


class Subscription:
    """A channel with a prefetch window, a declared queue and a consumer on it.

    The client library redeclares and consumes again after a reconnect and after the broker cancelled the consumer;
    it also cancels running callbacks when the channel dies, so callbacks must tolerate that.
    """

    def __init__(
        self,
        broker: Broker,
        spec: QueueSpec,
        prefetch: int,
        callback: Callable[[AbstractIncomingMessage], Awaitable[None]],
    ) -> None:
        self._broker = broker
        self._spec = spec
        self._prefetch = prefetch
        self._callback = callback
        self._channel: AbstractRobustChannel | None = None
        self._queue: AbstractRobustQueue | None = None
        self._tag: str | None = None

    async def start(self) -> None:
        """Begin to consume; raises BrokerUnavailable."""
        try:
            self._channel = await self._broker.consuming_channel()
            await self._channel.set_qos(prefetch_count=self._prefetch)
            self._queue = await declare(self._channel, self._spec)
            self._tag = await self._queue.consume(self._callback)
        except _CONNECTION_ERRORS as error:
            await self.close()
            raise BrokerUnavailable(f"cannot consume from {self._spec.name}: {error}") from error

    async def cancel(self) -> None:
        """Stop consuming; unacknowledged messages can still be acknowledged."""
        if self._queue is None or self._tag is None:
            return
        tag, self._tag = self._tag, None
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                await self._queue.cancel(tag)
        except _CONNECTION_ERRORS as error:
            log.debug("consumer already cancelled", queue=self._spec.name, error=str(error))

    async def resume(self) -> None:
        """Consume again after `cancel`, on the same channel; raises BrokerUnavailable."""
        if self._queue is None or self._tag is not None:
            return
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                self._tag = await self._queue.consume(self._callback)
        except _CONNECTION_ERRORS as error:
            raise BrokerUnavailable(f"cannot consume from {self._spec.name}: {error}") from error

    async def get(self) -> AbstractIncomingMessage | None:
        """Get one message beyond the prefetch window; None if the queue is empty or the channel is closed."""
        if self._queue is None or self._tag is None:
            return None
        try:
            return await self._queue.get(fail=False, timeout=_CHECK_TIMEOUT)
        except _CONNECTION_ERRORS as error:
            log.debug("get failed", queue=self._spec.name, error=str(error))
            return None

    async def close(self) -> None:
        """Close the channel; the broker requeues unacknowledged messages and increments their delivery count."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                await channel.close()
        except _CONNECTION_ERRORS as error:
            log.debug("channel already closed", queue=self._spec.name, error=str(error))

    async def check(self) -> None:
        """Raise BrokerUnavailable unless this consumer is registered at the broker."""
        if self._channel is None or self._tag is None or self._channel.is_closed:
            raise BrokerUnavailable(f"not consuming from {self._spec.name}")
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                underlay = await self._channel.get_underlay_channel()
        except _CONNECTION_ERRORS as error:
            raise BrokerUnavailable(f"not consuming from {self._spec.name}: {error}") from error
        if isinstance(underlay, aiormq.Channel) and self._tag not in underlay.consumers:
            raise BrokerUnavailable(f"the broker cancelled the consumer of {self._spec.name}")

    async def ack(self, message: AbstractIncomingMessage, *, multiple: bool = False) -> bool:
        """Acknowledge a message; False if its channel is closed: the message will be redelivered."""
        try:
            await message.ack(multiple=multiple)
        except _CONNECTION_ERRORS as error:
            log.debug("message will be redelivered", queue=self._spec.name, error=str(error))
            return False
        return True

    async def reject(self, message: AbstractIncomingMessage, *, requeue: bool) -> None:
        """Requeue a message, which counts a delivery, or dead-letter it; does nothing on a closed channel."""
        try:
            await message.reject(requeue=requeue)
        except _CONNECTION_ERRORS as error:
            log.debug("message will be redelivered", queue=self._spec.name, error=str(error))

    async def dead_letter(self, message: AbstractIncomingMessage, reason: str) -> None:
        """Publish a message to the dead letters, wait for the confirmation, and acknowledge the original.

        The broker's own dead-lettering can stop for good after a burst of errors, without notice (all releases up to
        now). It remains for messages that the consumer could not dead-letter because they crashed it.
        """
        headers = {DEAD_LETTER_QUEUE: self._spec.name, DEAD_LETTER_REASON: reason, DELIVERIES: delivery_count(message)}
        try:
            await self._broker.send(self._copy(message, DEAD, message.routing_key or self._spec.name, headers))
        except PublishFailed as error:
            log.warning("dead-lettering left to the broker", queue=self._spec.name, error=str(error))
            await self.reject(message, requeue=False)
        else:
            await self.ack(message)

    async def hand_back(self, message: AbstractIncomingMessage, headers: Mapping[str, Any] | None = None) -> bool:
        """Publish a copy with these additional headers and acknowledge the original, so that no delivery is counted.

        False if the broker did not confirm the copy; the original is then redelivered, and counted, when the channel
        closes.
        """
        # Only to this queue: through the events exchange the copy would reach the other subscribers again.
        copy = self._copy(message, *self._spec.direct_address, headers or {})
        try:
            await self._broker.send(copy)
        except PublishFailed as error:
            log.warning("message not handed back", queue=self._spec.name, error=str(error))
            return False
        return await self.ack(message)

    @staticmethod
    def _copy(
        message: AbstractIncomingMessage, exchange: str, routing_key: str, headers: Mapping[str, Any]
    ) -> Envelope:
        return Envelope(
            exchange=exchange,
            routing_key=routing_key,
            message_id=message.message_id or "",
            message_type=message.type or "",
            correlation_id=message.correlation_id or "",
            traceparent=None,
            body=message.body,
            # Without the broker's own headers, which begin with x-.
            headers={name: value for name, value in message.headers.items() if not name.startswith("x-")}
            | dict(headers),
        )


def delivery_count(message: AbstractIncomingMessage) -> int:
    """The number of this delivery of the message, from 1."""
    counted = message.headers.get("x-delivery-count", 0)
    return 1 + (counted if isinstance(counted, int) else 0)
