"""Queries on the limits that administrators change at run time."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import notify
from jobs.tables import Concurrency

WAKE_ANNOUNCER = "concurrency"


class ConcurrencyRepository:
    """Reads and writes the one row."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self) -> Concurrency | None:
        """Return the row; None = nothing was changed."""
        return await self._session.scalar(select(Concurrency), execution_options={"populate_existing": True})

    async def put(self, **values: Any) -> None:
        """Replace the row, and notify the announcers at the commit."""
        values["changed_at"] = func.now()
        await self._session.execute(
            insert(Concurrency).values(**values).on_conflict_do_update(index_elements=["only_row"], set_=values)
        )
        notify(self._session, WAKE_ANNOUNCER)
