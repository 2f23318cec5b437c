"""The migrations create the schema that the tables describe."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from auth.app import MIGRATIONS
from auth.tables import Base
from common import database
from common.settings import DatabaseSettings

pytestmark = pytest.mark.integration


async def test_migrated_schema_matches_the_tables(migrated_url: str) -> None:
    def drift(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return compare_metadata(context, Base.metadata)

    engine = database.create_engine(DatabaseSettings(db_url=migrated_url))
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(drift) == []
        await database.require_current(engine, MIGRATIONS)
    finally:
        await engine.dispose()
