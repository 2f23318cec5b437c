"""A durable mark in the broker: when it is missing, the broker has lost everything that it had confirmed."""

from uuid import uuid4

from .broker import Broker
from .envelope import Envelope
from .errors import PublishRefused
from .topology import witness


class Witness:
    """One service's mark: a queue in which nothing stays."""

    def __init__(self, broker: Broker) -> None:
        """Nothing is asked yet."""
        self._broker = broker
        self._queue = witness(broker.name)

    async def stands(self) -> bool:
        """Tell whether the broker still has the mark; raises PublishFailed when it cannot be asked."""
        # Not by a passive declaration: the broker answers that by closing the channel.
        try:
            await self._broker.send(Envelope(*self._queue.straight, uuid4().hex, "witness", "", None, b""))
        except PublishRefused:
            return False
        return True

    async def raise_again(self) -> None:
        """Leave the mark; raises PublishFailed."""
        await self._broker.declare_once(self._queue)
