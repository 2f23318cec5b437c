"""One consumer on one queue, kept alive across reconnects."""

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
# How a letter that we buried ourselves says where it died, why, and after how many deliveries.
DIED_IN, DIED_OF, DELIVERIES = "died-in", "died-of", "deliveries"
_TROUBLE = (*CONNECTION_EXCEPTIONS, TimeoutError)


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
        """Prepare; nothing is consumed yet."""
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
        except _TROUBLE as error:
            await self.close()
            raise BrokerUnavailable(f"cannot consume from {self._spec.name}: {error}") from error

    async def cancel(self) -> None:
        """Ask for no further messages; those in hand can still be acknowledged."""
        if self._queue is None or self._tag is None:
            return
        tag, self._tag = self._tag, None
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                await self._queue.cancel(tag)
        except _TROUBLE as error:
            log.debug("consumer was already gone", queue=self._spec.name, error=str(error))

    async def resume(self) -> None:
        """Ask for messages again after `cancel`, over the same channel; raises BrokerUnavailable."""
        if self._queue is None or self._tag is not None:
            return
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                self._tag = await self._queue.consume(self._callback)
        except _TROUBLE as error:
            raise BrokerUnavailable(f"cannot consume from {self._spec.name}: {error}") from error

    async def get(self) -> AbstractIncomingMessage | None:
        """Take a message beyond the prefetch window; None if there is none, or the channel is not there."""
        if self._queue is None or self._tag is None:
            return None
        try:
            return await self._queue.get(fail=False, timeout=_CHECK_TIMEOUT)
        except _TROUBLE as error:
            log.debug("nothing could be taken", queue=self._spec.name, error=str(error))
            return None

    async def close(self) -> None:
        """Let go of the channel; messages in hand go back to the queue, which counts them as delivered once more."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                await channel.close()
        except _TROUBLE as error:
            log.debug("channel was already gone", queue=self._spec.name, error=str(error))

    async def check(self) -> None:
        """Raise BrokerUnavailable unless the broker counts us as a consumer of the queue."""
        if self._channel is None or self._tag is None or self._channel.is_closed:
            raise BrokerUnavailable(f"not consuming from {self._spec.name}")
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                underlay = await self._channel.get_underlay_channel()
        except _TROUBLE as error:
            raise BrokerUnavailable(f"not consuming from {self._spec.name}: {error}") from error
        if isinstance(underlay, aiormq.Channel) and self._tag not in underlay.consumers:
            raise BrokerUnavailable(f"the broker cancelled the consumer of {self._spec.name}")

    async def ack(self, message: AbstractIncomingMessage, *, multiple: bool = False) -> bool:
        """Acknowledge a message; False if its channel is gone, in which case the message will come again."""
        try:
            await message.ack(multiple=multiple)
        except _TROUBLE as error:
            log.debug("message will come again", queue=self._spec.name, error=str(error))
            return False
        return True

    async def reject(self, message: AbstractIncomingMessage, *, requeue: bool) -> None:
        """Put a message back, which counts a delivery, or dead-letter it at once; harmless on a dead channel."""
        try:
            await message.reject(requeue=requeue)
        except _TROUBLE as error:
            log.debug("message will come again", queue=self._spec.name, error=str(error))

    async def bury(self, message: AbstractIncomingMessage, reason: str) -> None:
        """Move a message to the dead letters, confirmed there before it is acknowledged here.

        Not by the broker's own dead-lettering: on every release so far a burst of trouble can end that for good, and
        nobody is told. It is left with what its consumers could not bury: messages that killed them.
        """
        death = {DIED_IN: self._spec.name, DIED_OF: reason, DELIVERIES: delivery_count(message)}
        try:
            await self._broker.send(self._copy(message, DEAD, message.routing_key or self._spec.name, death))
        except PublishFailed as error:
            log.warning("dead letter goes the broker's way", queue=self._spec.name, error=str(error))
            await self.reject(message, requeue=False)
        else:
            await self.ack(message)

    async def hand_back(self, message: AbstractIncomingMessage, headers: Mapping[str, Any] | None = None) -> bool:
        """Put a fresh copy, with these headers on top, into the queue and acknowledge the original: nothing is counted.

        False if the broker did not confirm the copy; the original then comes again, counted, when the channel closes.
        """
        # Straight into the queue: by way of its exchange an event would reach the other subscribers again.
        copy = self._copy(message, *self._spec.straight, headers or {})
        try:
            await self._broker.send(copy)
        except PublishFailed as error:
            log.warning("message could not be handed back", queue=self._spec.name, error=str(error))
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
            # Without the broker's own book-keeping, which begins with x-.
            headers={name: value for name, value in message.headers.items() if not name.startswith("x-")}
            | dict(headers),
        )


def delivery_count(message: AbstractIncomingMessage) -> int:
    """Tell for which time, from 1, the message is delivered."""
    counted = message.headers.get("x-delivery-count", 0)
    return 1 + (counted if isinstance(counted, int) else 0)
