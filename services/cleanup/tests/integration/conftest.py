"""Settings of the cleanup service, and the resources of its rules."""

from datetime import timedelta

import pytest
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cleanup.settings import Settings
from cleanup.sweeps.rules import Resources
from cleanup.tables import Catalogue
from common.settings import BrokerSettings, StorageSettings
from common.storage import ObjectStore


@pytest.fixture
def settings(migrated_url: str, storage_settings: StorageSettings, jwks_url: str) -> Settings:
    """Settings of a service that needs no broker."""
    return Settings(
        **storage_settings.model_dump(),
        environment="test",
        db_url=migrated_url,
        broker_url="amqp://127.0.0.1:1/",
        jwks_url=jwks_url,
    )


@pytest.fixture
def connected_settings(settings: Settings, broker_settings: BrokerSettings) -> Settings:
    """Settings of a whole service."""
    return settings.model_copy(update=broker_settings.model_dump())


@pytest.fixture
async def resources(sessions: async_sessionmaker[AsyncSession], store: ObjectStore, settings: Settings) -> Resources:
    """The resources of the rules; the catalogue has received events for a day."""
    async with sessions.begin() as session:
        await session.execute(update(Catalogue).values(since=func.now() - timedelta(days=1)))
    return Resources(sessions, store, settings)
