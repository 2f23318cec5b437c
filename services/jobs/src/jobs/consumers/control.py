"""Heartbeats: what the workers say about themselves on the control exchange."""

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.events import WorkerHeartbeat

from .repository import WorkerRepository

log = structlog.get_logger(__name__)


class Heartbeats:
    """Keeps the table of workers up to date; every replica hears every heartbeat, and writing it twice is harmless."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        """Connects when the first heartbeat comes."""
        self._sessions = sessions

    async def hear(self, key: str, body: bytes) -> None:
        """Take in one message from the control exchange; what is no heartbeat is for others."""
        if key != WorkerHeartbeat.name:
            return
        try:
            beat = WorkerHeartbeat.model_validate_json(body)
        except ValidationError as error:
            log.warning("heartbeat not readable", error=str(error))
            return
        async with self._sessions.begin() as session:
            await WorkerRepository(session).heard(beat)
