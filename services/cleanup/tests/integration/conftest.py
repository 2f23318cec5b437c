"""A migrated database, a bucket, and the resources of the rules."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncEngine

from cleanup.app import MIGRATIONS
from cleanup.settings import Settings
from cleanup.sweeps.rules import Resources
from cleanup.tables import Catalogue
from common import database
from common.settings import BrokerSettings, StorageSettings
from common.storage import ObjectStore


@pytest.fixture
def migrated_url(migrated_database: Callable[[str], str]) -> str:
    return migrated_database(MIGRATIONS)


@pytest.fixture
def settings(migrated_url: str, storage_settings: StorageSettings) -> Settings:
    """Settings of a service that needs no broker."""
    return make_settings(migrated_url, storage_settings, BrokerSettings(broker_url="amqp://127.0.0.1:1/"))


@pytest.fixture
def connected_settings(
    migrated_url: str, storage_settings: StorageSettings, broker_settings: BrokerSettings
) -> Settings:
    """Settings of a whole service."""
    return make_settings(migrated_url, storage_settings, broker_settings)


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = database.create_engine(settings)
    yield engine
    await engine.dispose()


@pytest.fixture
async def store(storage_settings: StorageSettings) -> AsyncIterator[ObjectStore]:
    store = ObjectStore(storage_settings)
    yield store
    await store.close()


@pytest.fixture
async def resources(engine: AsyncEngine, store: ObjectStore, settings: Settings) -> Resources:
    """The resources of the rules; the catalogue has received events for a day."""
    sessions = database.sessions(engine)
    async with sessions.begin() as session:
        await session.execute(update(Catalogue).values(since=func.now() - timedelta(days=1)))
    return Resources(sessions, store, settings)


def make_settings(db_url: str, storage: StorageSettings, broker: BrokerSettings) -> Settings:
    return Settings(
        environment="test",
        db_url=db_url,
        broker_url=broker.broker_url,
        jwks_url="http://127.0.0.1:1/jwks.json",
        s3_endpoint=storage.s3_endpoint,
        s3_bucket=storage.s3_bucket,
        aws_access_key_id=storage.aws_access_key_id,
        aws_secret_access_key=storage.aws_secret_access_key,
    )
