"""A migrated database, a bucket and their settings."""

from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common import database
from common.settings import BrokerSettings, StorageSettings
from common.storage import ObjectStore
from metadata.app import MIGRATIONS
from metadata.settings import Settings


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
def sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    return database.sessions(engine)


@pytest.fixture
async def store(storage_settings: StorageSettings) -> AsyncIterator[ObjectStore]:
    store = ObjectStore(storage_settings)
    yield store
    await store.close()


def make_settings(db_url: str, storage: StorageSettings, broker: BrokerSettings) -> Settings:
    return Settings(
        environment="test",
        db_url=db_url,
        broker_url=broker.broker_url,
        s3_endpoint=storage.s3_endpoint,
        s3_bucket=storage.s3_bucket,
        aws_access_key_id=storage.aws_access_key_id,
        aws_secret_access_key=storage.aws_secret_access_key,
        jwks_url="http://auth.test/.well-known/jwks.json",
        enrichment_retry_seconds=0.05,
        enrichment_poll_seconds=30.0,
    )
