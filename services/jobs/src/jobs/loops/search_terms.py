"""Writes the search terms of jobs that were created by an older release."""

import asyncio
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from .repository import SearchRepository

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 5  # their rows stay locked meanwhile
# Replicas of the older release may create jobs as long as an upgrade lasts.
_PAUSE_SECONDS: Final = 30.0


async def keep_terms(sessions: async_sessionmaker[AsyncSession]) -> None:
    """Write missing terms, a few jobs in a transaction, for ever."""
    while True:
        written = await write_terms(sessions)
        if written:
            log.info("search terms written", jobs=written)
        await asyncio.sleep(_PAUSE_SECONDS)


async def write_terms(sessions: async_sessionmaker[AsyncSession]) -> int:
    """Write the terms of all jobs that have none; return how many there were."""
    written = 0
    while True:
        async with sessions.begin() as session:
            found = await SearchRepository(session).rebuild(_AT_ONCE)
        written += found
        if found < _AT_ONCE:
            return written
        await asyncio.sleep(0)
