"""The migrations create the schema that the tables describe."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from cleanup.app import MIGRATIONS
from cleanup.tables import Base
from common import database

pytestmark = pytest.mark.integration


async def test_migrated_schema_matches_the_tables(engine: AsyncEngine) -> None:
    def drift(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return compare_metadata(context, Base.metadata)

    async with engine.connect() as connection:
        assert await connection.run_sync(drift) == []
    await database.require_current(engine, MIGRATIONS)


async def test_migrating_twice_changes_nothing(migrated_url: str) -> None:
    await asyncio.to_thread(database.migrate, migrated_url, MIGRATIONS)
