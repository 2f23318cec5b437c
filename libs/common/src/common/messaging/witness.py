"""A durable mark in the broker: when it is missing, the broker has lost everything that it had confirmed."""

from aiormq.exceptions import ChannelNotFoundEntity

from .broker import TROUBLE, Broker, say
from .errors import BrokerUnavailable
from .topology import witness


class Witness:
    """One service's mark: an exchange that nobody publishes to."""

    def __init__(self, broker: Broker) -> None:
        """Nothing is asked yet."""
        self._broker = broker
        self._name = witness(broker.name)

    async def stands(self) -> bool:
        """Tell whether the broker still has the mark; raises BrokerUnavailable."""
        return await self._declare(passive=True)

    async def raise_again(self) -> None:
        """Leave the mark; raises BrokerUnavailable."""
        await self._declare(passive=False)

    async def _declare(self, *, passive: bool) -> bool:
        try:
            # On a channel of its own: the broker closes it where there is no such exchange.
            async with self._broker.plain_channel() as channel:
                await channel.exchange_declare(self._name, exchange_type="fanout", durable=True, passive=passive)
        except ChannelNotFoundEntity:
            return False
        except TROUBLE as error:
            raise BrokerUnavailable(f"the broker cannot be asked what it knows: {say(error)}") from error
        return True
