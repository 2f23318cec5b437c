"""One transaction per request, committed before the response is sent."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.database import is_outage

from .errors import Unavailable


class Outage(Unavailable):
    """The database, or another dependency, is down; the same request may succeed later."""

    code = "temporarily_unavailable"


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """A session whose transaction ends with the route: commit, or rollback if the route raised.

    It comes from `request.app.state.sessions`. Raises Unavailable when the database cannot be reached.
    """
    sessions: async_sessionmaker[AsyncSession] = request.app.state.sessions
    try:
        async with sessions.begin() as session:
            yield session
    except Exception as error:
        if is_outage(error):
            raise Outage("The database or another dependency is not reachable. Try again shortly.") from error
        raise


# With FastAPI's default scope the commit would run after the response, which could then not report a failure.
SessionDep = Annotated[AsyncSession, Depends(transaction, scope="function")]
