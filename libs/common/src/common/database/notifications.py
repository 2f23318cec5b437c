"""PostgreSQL's LISTEN as a doorbell for loops that also poll."""

import asyncio
from types import TracebackType
from typing import Any, Self

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from .deferred import at_commit
from .engine import is_outage

log = structlog.get_logger(__name__)

_RING = text("""
    SELECT pg_notify(channel, current_schema() || detail)
    FROM unnest(CAST(:channels AS text[]), CAST(:details AS text[])) AS bells(channel, detail)
""")


def ring(session: AsyncSession, channel: str, detail: str = "") -> None:
    """Wake everybody who waits for the channel in this schema when the transaction commits, once for each detail."""
    at_commit(session, _ring, (channel, f" {detail}" if detail else ""))


def _ring(connection: Connection, bells: list[tuple[str, str]]) -> None:
    channels, details = zip(*dict.fromkeys(bells), strict=True)
    connection.execute(_RING, {"channels": list(channels), "details": list(details)})


class Notifications:
    """Wakes a loop when `NOTIFY channel` is sent by a transaction of the same schema.

    `ring` sends the payload `current_schema()`, because a channel belongs to the whole database and services share
    it; a space and a detail may follow, for loops that want to know what it is about. Notifications get lost while the
    connection is down: the caller polls as well.
    """

    def __init__(self, engine: AsyncEngine, channel: str) -> None:
        """Prepare to listen; the connection is made by the first wait."""
        self._engine = engine
        self._channel = channel
        self._connection: AsyncConnection | None = None
        self._rung = asyncio.Event()
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
        """Wait until notified (True) or for `timeout` seconds (False); never raises because the database is away.

        The first wait on every new connection is over at once: what was told before it was heard by nobody.
        """
        try:
            await self._listen()
            await asyncio.wait_for(self._rung.wait(), timeout)
        except TimeoutError:
            return False
        except Exception as error:
            if not is_outage(error):
                raise
            await self.close()
            await asyncio.sleep(timeout)
            return False
        self._rung.clear()
        return True

    def details(self) -> set[str]:
        """Return the details heard since the last call."""
        heard, self._details = self._details, set()
        return heard

    async def close(self) -> None:
        """Stop listening."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # Invalidated, so that the pool never hands out a connection that still listens.
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

            def ring(_driver: Any, _pid: int, _channel: str, payload: str) -> None:
                name, _, detail = payload.partition(" ")
                if name in ("", schema):
                    if detail:
                        self._details.add(detail)
                    self._rung.set()

            def lose(_driver: Any) -> None:
                self._lost = True
                self._rung.set()

            await driver.add_listener(self._channel, ring)
            driver.add_termination_listener(lose)
        except BaseException:
            await connection.invalidate()
            await connection.close()
            raise
        self._connection = connection
        self._rung.set()  # nobody heard what was rung before
