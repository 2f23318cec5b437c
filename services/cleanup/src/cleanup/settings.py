"""Settings of the cleanup service."""

from datetime import timedelta

from pydantic import Field

from common.settings import BrokerSettings, DatabaseSettings, IdentitySettings, ServiceSettings, StorageSettings


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, StorageSettings, IdentitySettings):
    """Everything the process reads from its environment."""

    cleanup_enabled: bool = Field(
        default=True, description="Off: nothing is removed on a schedule. What a user deletes is removed in any case."
    )
    cleanup_days: float = Field(
        default=30.0, ge=0, description="Days that a finished job is kept; 0 keeps jobs for ever."
    )
    cleanup_interval_seconds: float = Field(
        default=3600.0, gt=0, description="Seconds between two rounds of all rules."
    )
    orphan_age_hours: float = Field(
        default=24.0,
        ge=0,
        description="Hours that objects of an unknown job, or parts of an unfinished upload, are left alone.",
    )
    chunk_audio_hours: float = Field(
        default=24.0,
        ge=0,
        description="Hours after a job's completion in which its chunk audio stays, for a look at what went wrong.",
    )
    deletion_recheck_seconds: float = Field(
        default=900.0,
        gt=0,
        description="Seconds until a deleted job's objects are looked for again: a worker may have been writing.",
    )
    cleanup_poll_seconds: float = Field(
        default=30.0, gt=0, description="Seconds between looks at the table when nothing rings."
    )

    @property
    def retention(self) -> timedelta:
        """How long a finished job is kept; zero keeps it for ever."""
        return timedelta(days=self.cleanup_days)

    @property
    def orphan_age(self) -> timedelta:
        """How long objects without a job are left alone."""
        return timedelta(hours=self.orphan_age_hours)

    @property
    def chunk_audio_grace(self) -> timedelta:
        """How long a completed job's chunk audio stays."""
        return timedelta(hours=self.chunk_audio_hours)

    @property
    def deletion_recheck(self) -> timedelta:
        """How long after its last sighting a deleted job's prefix is looked at again."""
        return timedelta(seconds=self.deletion_recheck_seconds)
