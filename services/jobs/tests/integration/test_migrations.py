"""Migrations produce the tables, and the service refuses to run on an older schema."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common import database
from common.testing.schema import differences
from jobs.app import MIGRATIONS, create_app
from jobs.settings import Settings
from jobs.tables import Base

from .conftest import INTERNAL_TOKEN, StartPlatform

pytestmark = pytest.mark.integration


async def test_migrations_lead_to_the_tables(engine: AsyncEngine) -> None:
    assert await differences(engine, Base.metadata) == []


async def test_migrating_twice_changes_nothing(migrated_url: str, engine: AsyncEngine) -> None:
    database.migrate(migrated_url, MIGRATIONS)
    await database.require_current(engine, MIGRATIONS)


async def test_service_runs_on_the_schema_of_the_next_release(start: StartPlatform, engine: AsyncEngine) -> None:
    """The additions that decision 0023 allows do not disturb this release."""
    async with engine.begin() as connection:
        for table in ("jobs", "chunks", "outbox", "inbox", "job_events"):
            await connection.execute(text(f"ALTER TABLE {table} ADD COLUMN invented int NOT NULL DEFAULT 7"))
        await connection.execute(text("CREATE TABLE inventions (id int PRIMARY KEY)"))
        await connection.execute(text("UPDATE alembic_version SET version_num = 'fffffffffff1'"))
        lineage = " ".join([*database.revisions(MIGRATIONS), "fffffffffff1"])
        await connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{lineage}'"))
    platform = await start()
    person = platform.person()
    job_id = await person.create()
    await platform.transcribe(person, job_id, "one", "two")
    assert (await person.http.get(f"/jobs/{job_id}/transcript")).json()["complete"]


async def test_service_refuses_an_empty_schema(db_url: str) -> None:
    settings = Settings(
        environment="test",
        db_url=db_url,
        broker_url="amqp://127.0.0.1:1/",
        jwks_url="http://127.0.0.1:1/",
        internal_token=INTERNAL_TOKEN,
    )
    app = create_app(settings)
    with pytest.raises(database.SchemaOutdated, match="python -m jobs migrate"):
        async with app.router.lifespan_context(app):
            pytest.fail("it started")
