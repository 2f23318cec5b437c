"""Fixtures of the plumbing's tests: a schema with the messaging tables, and a broker."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.database import create_engine, sessions
from common.messaging import Broker
from common.settings import BrokerSettings, DatabaseSettings

from .common_plumbing import Base


@pytest.fixture
async def engine(db_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a schema that has the tables of `common_plumbing`."""
    made = create_engine(DatabaseSettings(db_url=db_url))
    async with made.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield made
    await made.dispose()


@pytest.fixture
def session_factory(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions on that schema."""
    return sessions(engine)


@pytest.fixture
async def broker(broker_settings: BrokerSettings) -> AsyncIterator[Broker]:
    """A connected broker with its topology declared in a virtual host of its own."""
    connected = await Broker.connect(broker_settings, "test")
    yield connected
    await connected.close()
