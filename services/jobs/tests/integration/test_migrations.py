"""The schema: migrations lead to the tables, and the service refuses to run on an older one."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from common import database
from jobs.app import MIGRATIONS, create_app
from jobs.settings import Settings
from jobs.tables import Base

pytestmark = pytest.mark.integration


async def test_migrations_lead_to_the_tables(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True, "compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_twice_changes_nothing(migrated_url: str, engine: AsyncEngine) -> None:
    database.migrate(migrated_url, MIGRATIONS)
    await database.require_current(engine, MIGRATIONS)


async def test_service_refuses_an_empty_schema(db_url: str) -> None:
    settings = Settings(
        environment="test", db_url=db_url, broker_url="amqp://127.0.0.1:1/", jwks_url="http://127.0.0.1:1/"
    )
    app = create_app(settings)
    with pytest.raises(database.SchemaOutdated, match="python -m jobs migrate"):
        async with app.router.lifespan_context(app):
            pytest.fail("it started")
