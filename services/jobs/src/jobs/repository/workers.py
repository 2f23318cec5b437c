"""Queries on the workers that sent heartbeats."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import WorkerHeartbeat
from jobs.tables import Worker


class WorkerRepository:
    """One row per worker; a worker is live if its last heartbeat is recent, by the database's clock."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def store(self, beat: WorkerHeartbeat) -> None:
        """Write a heartbeat."""
        values = beat.model_dump(exclude={"worker", "event_id", "occurred_at", "correlation_id"})
        statement = insert(Worker).values(worker=beat.worker, **values)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=[Worker.worker], set_={**values, "last_seen_at": func.now()})
        )

    async def live_by_model(self, within: timedelta) -> dict[str, int]:
        """Return the number of live workers per model; a paused worker counts."""
        live = Worker.last_seen_at > func.now() - within
        served = select(func.unnest(Worker.models).label("model")).where(live).subquery()
        query = select(served.c.model, func.count().label("workers")).group_by(served.c.model)
        rows = await self._session.execute(query)
        return {row.model: row.workers for row in rows}

    async def holds(self, key: str, since: datetime) -> bool:
        """Return whether a heartbeat since then lists this work as in progress."""
        held = func.string_to_array(Worker.busy, ", ").any_() == key
        return bool(await self._session.scalar(select(exists().where(Worker.last_seen_at > since, held))))

    async def prune(self, after: timedelta) -> Sequence[str]:
        """Remove workers without a heartbeat for so long; return their names."""
        statement = delete(Worker).where(Worker.last_seen_at < func.now() - after).returning(Worker.worker)
        return (await self._session.scalars(statement)).all()

    async def all(self, within: timedelta) -> Sequence[tuple[Worker, bool]]:
        """Return every worker by name, and whether it is live."""
        live = Worker.last_seen_at > func.now() - within
        rows = await self._session.execute(select(Worker, live).order_by(Worker.worker))
        return [(worker, is_live) for worker, is_live in rows]

    async def names(self) -> Sequence[str]:
        """Return the names of all workers."""
        return (await self._session.scalars(select(Worker.worker).order_by(Worker.worker))).all()
