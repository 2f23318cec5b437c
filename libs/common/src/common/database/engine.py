"""Connections and sessions to the schema of one service in PostgreSQL."""

import asyncio
import random
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from common.settings import DatabaseSettings

log = structlog.get_logger(__name__)

# Temporary errors: 08 connection, 53 resources, 57P shutdown or start of the server, 40 serialization or deadlock,
# 55P03 lock timeout.
_TEMPORARY_SQLSTATES = ("08", "53", "57P", "40", "55P03")


# A connection that was used this recently is not pinged: a ping takes as long as most statements.
_PING_AFTER_SECONDS = 10.0
_LAST_USED = "verbatim_last_used"


class DatabaseUnavailable(ConnectionError):
    """PostgreSQL did not answer in time."""


def create_engine(settings: DatabaseSettings) -> AsyncEngine:
    """Return an engine for the service's database; it connects at its first use."""
    engine = create_async_engine(
        settings.db_url,
        pool_size=10,
        max_overflow=10,
        pool_timeout=10,
        connect_args={"timeout": 5, "command_timeout": 60, "server_settings": {"timezone": "UTC"}},
    )
    _check_connections(engine)
    return engine


def sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Return the session factory; rows stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def connect(engine: AsyncEngine, attempts: int) -> None:
    """Wait until the database answers; raises DatabaseUnavailable after the given number of attempts."""
    for attempt in range(1, attempts + 1):
        try:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception as error:
            if not is_outage(error):
                raise
            where = engine.url.render_as_string(hide_password=True)
            log.warning("database not reachable", url=where, attempt=attempt, attempts=attempts, error=str(error))
            if attempt == attempts:
                raise DatabaseUnavailable(f"{where} did not answer in {attempts} attempts: {error}") from error
            await asyncio.sleep(min(0.25 * 2**attempt, 5.0) * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
        else:
            return


def _check_connections(engine: AsyncEngine) -> None:
    """Replace a closed connection before its use, not after a failed request.

    A connection that was idle is pinged first: a firewall or a power failure closes it without notice.
    """

    def check(connection: Any, record: Any, _proxy: object) -> None:
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError("the server has closed the connection")
        if monotonic() - record.info.get(_LAST_USED, -_PING_AFTER_SECONDS) >= _PING_AFTER_SECONDS:
            try:
                connection.ping()
            except Exception as error:
                raise InvalidatePoolError("the connection is dead") from error

    def note(_connection: object, record: Any) -> None:
        record.info[_LAST_USED] = monotonic()

    event.listen(engine.sync_engine, "connect", note)
    event.listen(engine.sync_engine, "checkout", check)
    event.listen(engine.sync_engine, "checkin", note)


def is_outage(error: BaseException) -> bool:
    """Whether the same transaction may succeed later: an outage, exhausted resources, or a deadlock."""
    if isinstance(error, ConnectionError | TimeoutError | PoolTimeoutError):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        return error.orig is not None and is_outage(error.orig)
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return sqlstate.startswith(_TEMPORARY_SQLSTATES)
    # The driver reports a lost connection as a client-side error without a SQLSTATE.
    return type(error).__name__ in {"InterfaceError", "ConnectionDoesNotExistError"} and "clos" in str(error)
