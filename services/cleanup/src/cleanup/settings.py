"""Settings of the cleanup service."""

from datetime import timedelta

from pydantic import Field

from common.settings import BrokerSettings, DatabaseSettings, IdentitySettings, ServiceSettings, StorageSettings


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, StorageSettings, IdentitySettings):
    """Environment variables of the process."""

    cleanup_enabled: bool = Field(
        default=True, description="Off: nothing is deleted on a schedule. What a user deletes is deleted in any case."
    )
    cleanup_days: float = Field(default=30.0, ge=0, description="Days for which a finished job is kept; 0: for ever.")
    cleanup_interval_seconds: float = Field(
        default=3600.0, gt=0, description="Seconds between two sweeps of all rules."
    )
    orphan_age_hours: float = Field(
        default=24.0,
        ge=0,
        description="Hours for which objects of an unknown job, or parts of an unfinished upload, are kept.",
    )
    chunk_audio_hours: float = Field(
        default=24.0,
        ge=0,
        description="Hours after a job's completion for which its chunk audio is kept, for diagnosis.",
    )
    deletion_recheck_seconds: float = Field(
        default=900.0,
        gt=0,
        description="Seconds until the objects of a deleted job are listed again, because a worker may still write.",
    )
    cleanup_poll_seconds: float = Field(
        default=30.0, gt=0, description="Seconds between two polls of the table without a notification."
    )

    @property
    def retention(self) -> timedelta:
        """How long a finished job is kept; zero: for ever."""
        return timedelta(days=self.cleanup_days)

    @property
    def orphan_age(self) -> timedelta:
        """How long objects without a job are kept."""
        return timedelta(hours=self.orphan_age_hours)

    @property
    def chunk_audio_grace(self) -> timedelta:
        """How long the chunk audio of a completed job is kept."""
        return timedelta(hours=self.chunk_audio_hours)

    @property
    def deletion_recheck(self) -> timedelta:
        """Time until the objects of a deleted job are listed again."""
        return timedelta(seconds=self.deletion_recheck_seconds)
