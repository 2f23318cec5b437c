"""This replica's place on the message bus; without one, everything but live logs works."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from common import logging
from common.messaging import Broker, ListenExchange, LogPublisher
from common.settings import BrokerSettings


class NotConnected(Exception):
    """The message bus has not been reached yet, or was lost."""


class Bus:
    """Ships this process's log records, and hands what is broadcast to whoever hears it here."""

    def __init__(
        self,
        settings: BrokerSettings,
        name: str,
        hearers: Mapping[ListenExchange, Callable[[str, bytes], Awaitable[None]]],
        on_connect: Callable[[], None],
    ) -> None:
        """`hearers` take (routing key, body); `on_connect` is called whenever something may have been missed."""
        self._settings = settings
        self._name = name
        self._hearers = hearers
        self._on_connect = on_connect
        self._broker: Broker | None = None

    async def run(self) -> None:
        """Connect and work until cancelled; made for `Background`, so that a start never waits for the bus."""
        async with AsyncExitStack() as stack:
            broker = await Broker.connect(self._settings, self._name)
            stack.push_async_callback(broker.close)
            for exchange, hear in self._hearers.items():
                listener = await broker.listen(exchange, ["#"], hear)
                stack.push_async_callback(listener.close)
            broker.on_reconnect(self._on_connect)
            self._on_connect()
            self._broker = broker
            try:
                await LogPublisher(broker, logging.sink()).run()
            finally:
                self._broker = None

    async def check(self) -> None:
        """Raise unless the bus is connected."""
        if self._broker is None:
            raise NotConnected("not connected")
        await self._broker.check()
