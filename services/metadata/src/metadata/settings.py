"""Settings of the metadata service."""

from pydantic import Field

from common.settings import BrokerSettings, DatabaseSettings, IdentitySettings, ServiceSettings, StorageSettings


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, StorageSettings, IdentitySettings):
    """Everything the process reads from its environment."""

    # Keywords kept of each transcript.
    keyword_limit: int = Field(default=12, ge=1, le=100)
    # Tries before a transcript goes on without metadata.
    enrichment_tries: int = Field(default=6, ge=1)
    # Seconds after which a try that was not finished belongs to another worker: its process died.
    enrichment_lease_seconds: float = Field(default=120.0, gt=0)
    # Seconds before the second try; each later one waits twice as long.
    enrichment_retry_seconds: float = Field(default=2.0, gt=0)
    # Seconds between looks at the table when nothing rings.
    enrichment_poll_seconds: float = Field(default=2.0, gt=0)
