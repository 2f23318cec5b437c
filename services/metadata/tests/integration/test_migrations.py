"""The schema that the migrations build is the one that the code describes."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from common import database
from common.testing.schema import differences
from metadata.app import MIGRATIONS
from metadata.tables import Base

pytestmark = pytest.mark.integration


async def test_migrated_schema_is_what_the_tables_say(engine: AsyncEngine) -> None:
    assert await differences(engine, Base.metadata) == []
    await database.require_current(engine, MIGRATIONS)


async def test_migrating_twice_changes_nothing(migrated_url: str) -> None:
    await asyncio.to_thread(database.migrate, migrated_url, MIGRATIONS)
