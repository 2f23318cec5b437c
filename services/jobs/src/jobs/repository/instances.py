"""Queries on the platform's processes and its storage, as notices of the control exchange reported them."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import ServiceHeartbeat, StorageMeasured
from jobs.tables import Instance, StoredKind

# Three heartbeats.
_TIMEOUT = timedelta(seconds=35)
# Ended processes leave their rows behind; the next heartbeat of any process removes them.
_KEPT = timedelta(hours=1)


class InstanceRepository:
    """Stores the latest notice of each process, and of each kind of file."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def store(self, beat: ServiceHeartbeat) -> None:
        """Write a heartbeat, and remove processes that ended."""
        values = beat.model_dump(exclude={"event_id", "occurred_at", "correlation_id"})
        statement = insert(Instance).values(**values)
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=[Instance.service, Instance.instance], set_={**values, "last_seen_at": func.now()}
            )
        )
        await self._session.execute(delete(Instance).where(Instance.last_seen_at < func.now() - _KEPT))

    async def store_measurement(self, notice: StorageMeasured) -> None:
        """Write a measurement of the storage, unless a newer one is there."""
        for kind, use in sorted(notice.kinds.items()):
            values = {"objects": use.objects, "bytes": use.bytes, "measured_at": notice.measured_at}
            await self._session.execute(
                insert(StoredKind)
                .values(kind=kind, **values)
                .on_conflict_do_update(
                    index_elements=[StoredKind.kind], set_=values, where=StoredKind.measured_at < notice.measured_at
                )
            )

    async def all(self) -> Sequence[tuple[Instance, bool]]:
        """Return every process by service, and whether it is live."""
        live = Instance.last_seen_at > func.now() - _TIMEOUT
        rows = await self._session.execute(select(Instance, live).order_by(Instance.service, Instance.instance))
        return [(instance, is_live) for instance, is_live in rows]

    async def storage(self) -> Sequence[StoredKind]:
        """Return the storage used by each kind of file."""
        return (await self._session.scalars(select(StoredKind).order_by(StoredKind.kind))).all()
