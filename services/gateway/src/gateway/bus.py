"""This replica's place on the message bus; without one, everything but live logs works."""

from collections.abc import Awaitable, Callable

from common import logging
from common.messaging import Broker, LogPublisher
from common.settings import BrokerSettings


class NotConnected(Exception):
    """The message bus has not been reached yet, or was lost."""


class Bus:
    """Ships this process's log records, and hands those of the whole fleet to `on_record(routing key, body)`."""

    def __init__(self, settings: BrokerSettings, name: str, on_record: Callable[[str, bytes], Awaitable[None]]) -> None:
        self._settings = settings
        self._name = name
        self._on_record = on_record
        self._broker: Broker | None = None

    async def run(self) -> None:
        """Connect and work until cancelled; made for `Background`, so that a start never waits for the bus."""
        broker = await Broker.connect(self._settings, self._name)
        try:
            listener = await broker.listen("logs", ["#"], self._on_record)
            try:
                self._broker = broker
                await LogPublisher(broker, logging.sink()).run()
            finally:
                self._broker = None
                await listener.close()
        finally:
            await broker.close()

    async def check(self) -> None:
        """Raise unless the bus is connected."""
        if self._broker is None:
            raise NotConnected("not connected")
        await self._broker.check()
