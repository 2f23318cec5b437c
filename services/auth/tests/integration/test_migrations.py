"""The migrations create the schema that the tables describe."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.app import MIGRATIONS
from auth.tables import Base
from common import database
from common.testing.schema import differences

pytestmark = pytest.mark.integration


async def test_migrated_schema_matches_the_tables(engine: AsyncEngine) -> None:
    assert await differences(engine, Base.metadata) == []
    await database.require_current(engine, MIGRATIONS)
