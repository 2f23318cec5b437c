"""The migration of search terms: writes those of jobs that an older release created."""

import asyncio
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from jobs.repository import SearchRepository

log = structlog.get_logger(__name__)

_BATCH: Final = 5  # rows locked at once
# Replicas of the older release may create jobs during an upgrade.
_PAUSE_SECONDS: Final = 30.0


async def keep_terms(sessions: async_sessionmaker[AsyncSession]) -> None:
    """Write missing terms for ever, a few jobs per transaction."""
    while True:
        written = await write_terms(sessions)
        if written:
            log.info("search terms written", jobs=written)
        await asyncio.sleep(_PAUSE_SECONDS)


async def write_terms(sessions: async_sessionmaker[AsyncSession]) -> int:
    """Write the terms of all jobs that have none; return the number of jobs."""
    written = 0
    while True:
        async with sessions.begin() as session:
            found = await SearchRepository(session).rebuild(_BATCH)
        written += found
        if found < _BATCH:
            return written
        await asyncio.sleep(0)
