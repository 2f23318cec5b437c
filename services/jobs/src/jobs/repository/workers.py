"""Queries on the workers that sent heartbeats."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import WorkerHeartbeat
from jobs.tables import Worker


class WorkerRepository:
    """Keeps one row per worker; alive is who was heard lately, by the database's clock."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._session = session

    async def heard(self, beat: WorkerHeartbeat) -> None:
        """Write what the worker says about itself."""
        values = beat.model_dump(exclude={"worker", "event_id", "occurred_at", "correlation_id"})
        statement = insert(Worker).values(worker=beat.worker, **values)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=[Worker.worker], set_={**values, "last_seen_at": func.now()})
        )

    async def live_by_model(self, within: timedelta) -> dict[str, int]:
        """Return how many workers heard `within` this time serve each model; one that is paused still serves it."""
        heard = Worker.last_seen_at > func.now() - within
        served = select(func.unnest(Worker.models).label("model")).where(heard).subquery()
        query = select(served.c.model, func.count().label("workers")).group_by(served.c.model)
        rows = await self._session.execute(query)
        return {row.model: row.workers for row in rows}

    async def holds(self, key: str, since: datetime) -> bool:
        """Tell whether a worker heard since then has this work in its hands."""
        held = func.string_to_array(Worker.busy, ", ").any_() == key
        return bool(await self._session.scalar(select(exists().where(Worker.last_seen_at > since, held))))

    async def forget(self, after: timedelta) -> Sequence[str]:
        """Remove workers not heard for so long; return their names."""
        statement = delete(Worker).where(Worker.last_seen_at < func.now() - after).returning(Worker.worker)
        return (await self._session.scalars(statement)).all()
