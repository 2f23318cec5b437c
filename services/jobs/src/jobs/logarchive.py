"""The log archive: takes the platform's log lines off the bus in batches and keeps those that belong to a job."""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from common.messaging import RawMessage

from . import metrics
from .repository import LogRepository
from .settings import Settings
from .storable import storable

log = structlog.get_logger(__name__)

_PRUNE_INTERVAL_SECONDS = 60.0
_PRUNE_BATCH = 10_000

# Escapes that may stand for what cannot be stored; nearly no line has one, so nearly none is walked through.
_UNSTORABLE = re.compile(rb"\\u(?:0000|d[89a-f])", re.IGNORECASE)


class LogArchive:
    """Stores log lines and removes them when they are old or too many."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], settings: Settings) -> None:
        """Connects when it runs."""
        self._sessions = sessions
        self._settings = settings

    async def store(self, messages: Sequence[RawMessage]) -> None:
        """Archive the lines of a batch that belong to a job."""
        lines = [line for message in messages if (line := _line(message)) is not None]
        if not lines:
            return
        async with self._sessions.begin() as session:
            await LogRepository(session).append(lines)
        metrics.LOG_LINES.inc(len(lines))

    async def run(self) -> None:
        """Prune for ever."""
        while True:
            while await self.prune() == _PRUNE_BATCH:
                pass
            await asyncio.sleep(_PRUNE_INTERVAL_SECONDS)

    async def prune(self) -> int:
        """Remove some of what is older or more than the settings allow; return how many lines."""
        async with self._sessions.begin() as session:
            removed = await LogRepository(session).prune(
                older_than=self._settings.log_retention,
                keep=self._settings.log_retention_lines,
                batch=_PRUNE_BATCH,
            )
        if removed:
            log.info("log lines pruned", lines=removed)
        return removed


def _line(message: RawMessage) -> dict[str, Any] | None:
    job = message.routing_key.rpartition(".")[2]
    if job == "-":
        return None
    try:
        record = json.loads(message.body, parse_constant=str)
        if _UNSTORABLE.search(message.body):
            record = storable(record)
        return {"job_id": UUID(job), "log_id": UUID(record["log_id"]), "record": record}
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not logged: a line about an unreadable line would come back here.
        metrics.LOG_LINES_UNREADABLE.inc()
        return None
