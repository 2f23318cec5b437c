"""PostgreSQL's LISTEN and NOTIFY, for loops that also poll."""

import asyncio
from types import TracebackType
from typing import Any, Self

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from .deferred import at_commit
from .engine import is_outage

log = structlog.get_logger(__name__)

_NOTIFY = text("""
    SELECT pg_notify(channel, current_schema() || detail)
    FROM unnest(CAST(:channels AS text[]), CAST(:details AS text[])) AS notifications(channel, detail)
""")


def notify(session: AsyncSession, channel: str, detail: str = "") -> None:
    """Notify the listeners of the channel in this schema at the commit, once for each distinct detail."""
    at_commit(session, _notify, (channel, f" {detail}" if detail else ""))


def _notify(connection: Connection, notifications: list[tuple[str, str]]) -> None:
    channels, details = zip(*dict.fromkeys(notifications), strict=True)
    connection.execute(_NOTIFY, {"channels": list(channels), "details": list(details)})


class Notifications:
    """Wakes a loop when `NOTIFY channel` is sent by a transaction of the same schema.

    The payload of `notify` is `current_schema()`, because a channel belongs to the whole database, which services
    share; a space and a detail may follow. Notifications are lost while the connection is down: the caller also polls.
    """

    def __init__(self, engine: AsyncEngine, channel: str) -> None:
        """Does not connect before the first wait."""
        self._engine = engine
        self._channel = channel
        self._connection: AsyncConnection | None = None
        self._notified = asyncio.Event()
        self._details: set[str] = set()
        self._lost = False

    async def __aenter__(self) -> Self:
        """Return self; leaving the block closes the connection."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self.close()

    async def wait(self, timeout: float) -> bool:
        """Wait until notified (True) or for `timeout` seconds (False); does not raise in an outage of the database.

        The first wait on a new connection returns at once: earlier notifications may have been missed.
        """
        try:
            await self._listen()
            await asyncio.wait_for(self._notified.wait(), timeout)
        except TimeoutError:
            return False
        except Exception as error:
            if not is_outage(error):
                raise
            await self.close()
            await asyncio.sleep(timeout)
            return False
        self._notified.clear()
        return True

    def details(self) -> set[str]:
        """Return the details received since the last call."""
        received, self._details = self._details, set()
        return received

    async def close(self) -> None:
        """Stop listening."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # Invalidated: the pool must not reuse a connection that still listens.
            await connection.invalidate()
            await connection.close()

    async def _listen(self) -> None:
        if self._lost:
            await self.close()
            self._lost = False
        if self._connection is not None:
            return
        connection = await self._engine.connect()
        try:
            schema = await connection.scalar(text("SELECT current_schema()"))
            await connection.rollback()
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None

            def receive(_driver: Any, _pid: int, _channel: str, payload: str) -> None:
                name, _, detail = payload.partition(" ")
                if name in ("", schema):
                    if detail:
                        self._details.add(detail)
                    self._notified.set()

            def lose(_driver: Any) -> None:
                self._lost = True
                self._notified.set()

            await driver.add_listener(self._channel, receive)
            driver.add_termination_listener(lose)
        except BaseException:
            await connection.invalidate()
            await connection.close()
            raise
        self._connection = connection
        self._notified.set()  # earlier notifications may have been missed
