"""What the control exchange tells about the platform's processes and its storage, kept for administrators."""

from datetime import timedelta

import structlog
from pydantic import ValidationError
from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.events import ServiceHeartbeat, StorageMeasured

from .tables import Instance, StoredKind

log = structlog.get_logger(__name__)

# Processes that were ended leave their rows behind; the next heartbeat of anybody sweeps them up.
_FORGET_AFTER = timedelta(hours=1)


class Records:
    """Keeps the last word of everybody; every replica hears it, and writing it twice is harmless."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        """Connects when the first notice comes."""
        self._sessions = sessions

    async def hear(self, key: str, body: bytes) -> None:
        """Take in one message from the control exchange; other notices are for others."""
        try:
            if key == ServiceHeartbeat.name:
                await self._beat(ServiceHeartbeat.model_validate_json(body))
            elif key == StorageMeasured.name:
                await self._measured(StorageMeasured.model_validate_json(body))
        except ValidationError as error:
            log.warning("control notice not readable", notice=key, error=str(error))

    async def _beat(self, beat: ServiceHeartbeat) -> None:
        values = beat.model_dump(exclude={"event_id", "occurred_at", "correlation_id"})
        statement = insert(Instance).values(**values)
        async with self._sessions.begin() as session:
            await session.execute(
                statement.on_conflict_do_update(
                    index_elements=[Instance.service, Instance.instance], set_={**values, "last_seen_at": func.now()}
                )
            )
            await session.execute(delete(Instance).where(Instance.last_seen_at < func.now() - _FORGET_AFTER))

    async def _measured(self, notice: StorageMeasured) -> None:
        async with self._sessions.begin() as session:
            for kind, use in sorted(notice.kinds.items()):
                values = {"objects": use.objects, "bytes": use.bytes, "measured_at": notice.measured_at}
                await session.execute(
                    insert(StoredKind)
                    .values(kind=kind, **values)
                    .on_conflict_do_update(
                        index_elements=[StoredKind.kind],
                        set_=values,
                        where=StoredKind.measured_at < notice.measured_at,
                    )
                )
