"""Settings of the metadata service."""

import pytest

from common.settings import BrokerSettings, StorageSettings
from metadata.settings import Settings


@pytest.fixture
def settings(migrated_url: str, storage_settings: StorageSettings, jwks_url: str) -> Settings:
    """Settings of a service that needs no broker."""
    return Settings(
        **storage_settings.model_dump(),
        environment="test",
        db_url=migrated_url,
        broker_url="amqp://127.0.0.1:1/",
        jwks_url=jwks_url,
        enrichment_retry_seconds=0.05,
        enrichment_poll_seconds=30.0,
    )


@pytest.fixture
def connected_settings(settings: Settings, broker_settings: BrokerSettings) -> Settings:
    """Settings of a whole service."""
    return settings.model_copy(update=broker_settings.model_dump())
