"""Notices of the control exchange: heartbeats of workers and processes, and measurements of the storage.

Every replica consumes every notice; writing one twice is harmless.
"""

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.events import ServiceHeartbeat, StorageMeasured, WorkerHeartbeat
from jobs.repository import InstanceRepository, WorkerRepository

log = structlog.get_logger(__name__)


class Heartbeats:
    """Stores the heartbeats of workers."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions

    async def consume(self, key: str, body: bytes) -> None:
        """Store a worker's heartbeat; other notices are ignored."""
        if key != WorkerHeartbeat.name:
            return
        try:
            beat = WorkerHeartbeat.model_validate_json(body)
        except ValidationError as error:
            log.warning("heartbeat not readable", error=str(error))
            return
        async with self._sessions.begin() as session:
            await WorkerRepository(session).store(beat)


class Records:
    """Stores the heartbeats of processes and the measurements of the storage."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions

    async def consume(self, key: str, body: bytes) -> None:
        """Store a process's heartbeat or a measurement; other notices are ignored."""
        try:
            if key == ServiceHeartbeat.name:
                beat = ServiceHeartbeat.model_validate_json(body)
                async with self._sessions.begin() as session:
                    await InstanceRepository(session).store(beat)
            elif key == StorageMeasured.name:
                measured = StorageMeasured.model_validate_json(body)
                async with self._sessions.begin() as session:
                    await InstanceRepository(session).store_measurement(measured)
        except ValidationError as error:
            log.warning("control notice not readable", notice=key, error=str(error))
