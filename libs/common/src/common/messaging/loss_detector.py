"""Detect a broker that lost its durable state: a durable marker queue is then missing."""

from uuid import uuid4

from .broker import Broker
from .envelope import Envelope
from .errors import PublishRefused
from .topology import loss_marker


class BrokerLossDetector:
    """The marker queue of one service. Messages in it expire at once."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._queue = loss_marker(broker.name)

    async def marker_exists(self) -> bool:
        """Whether the broker has the marker queue; raises PublishFailed when the broker does not answer."""
        # No passive declaration: for a missing queue the broker closes the channel.
        try:
            await self._broker.send(Envelope(*self._queue.direct_address, uuid4().hex, "witness", "", None, b""))
        except PublishRefused:
            return False
        return True

    async def create_marker(self) -> None:
        """Declare the marker queue; raises PublishFailed."""
        await self._broker.declare_once(self._queue)
