"""The migrations create the schema that the tables describe."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from cleanup.app import MIGRATIONS
from cleanup.tables import Base
from common import database
from common.testing.schema import differences

pytestmark = pytest.mark.integration


async def test_migrated_schema_matches_the_tables(engine: AsyncEngine) -> None:
    assert await differences(engine, Base.metadata) == []
    await database.require_current(engine, MIGRATIONS)


async def test_migrating_twice_changes_nothing(migrated_url: str) -> None:
    await asyncio.to_thread(database.migrate, migrated_url, MIGRATIONS)
