"""One transaction per request, committed before the answer is sent."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from .errors import Unavailable


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or has no connection to spare."""

    code = "database_unavailable"


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """A session whose transaction ends with the route: commit, or rollback if the route raised.

    It comes from `request.app.state.sessions`. Raises Unavailable when the database cannot be reached.
    """
    sessions: async_sessionmaker[AsyncSession] = request.app.state.sessions
    try:
        async with sessions.begin() as session:
            yield session
    except (OperationalError, InterfaceError, PoolTimeout, ConnectionError) as error:
        raise DatabaseUnavailable("The database cannot be reached. Try again shortly.") from error


# With FastAPI's default scope the commit would run after the answer was sent, and a failed one could not be told.
SessionDep = Annotated[AsyncSession, Depends(transaction, scope="function")]
