"""The schema that the migrations build is the one that the code describes."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from auth.app import MIGRATIONS
from auth.tables import Base
from common import database
from common.testing.schema import differences

pytestmark = pytest.mark.integration


async def test_migrated_schema_is_what_the_tables_say(engine: AsyncEngine) -> None:
    assert await differences(engine, Base.metadata) == []
    await database.require_current(engine, MIGRATIONS)
