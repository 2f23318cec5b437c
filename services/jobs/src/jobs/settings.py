"""The settings of the jobs service."""

from datetime import timedelta

from pydantic import Field

from common.settings import BrokerSettings, DatabaseSettings, IdentitySettings, InternalSettings, ServiceSettings

GIB = 1024**3


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, IdentitySettings, InternalSettings):
    """The shared settings, and those of dispatch, quotas, timeouts and retention."""

    max_concurrent_jobs: int = Field(default=4, ge=1, description="Jobs processed at once on the whole platform.")
    chunks_in_flight_per_job: int = Field(
        default=4,
        ge=1,
        description="Chunks of one job in flight at once; few, so that a long recording starves no short one.",
    )
    chunks_in_flight_per_worker: int = Field(
        default=1,
        ge=1,
        # Chunks in the broker's queue cannot be reordered any more.
        description="Full chunks of a model in flight per live worker that serves it; half a chunk is added.",
    )

    quota_queued_jobs: int = Field(default=10_000, ge=0, description="Queued jobs of one user; 0 = unlimited.")
    quota_stored_bytes: int = Field(
        default=200 * GIB, ge=0, description="Bytes of the recordings of one user; 0 = unlimited."
    )
    quota_audio_hours_per_day: float = Field(
        default=240,
        ge=0,
        description="Hours of audio of one user per day (UTC), counted when a recording's plan ends; beyond it no job"
        " is accepted until midnight. 0 = unlimited.",
    )
    quotas_exempt_admins: bool = Field(
        default=True, description="Whether administrators are exempt from the three quotas."
    )

    work_timeout_seconds: float = Field(
        default=600,
        gt=0,
        description="Seconds without progress after which work is sent again; the time doubles with each repetition.",
    )
    whisper_timeout_seconds: float = Field(
        default=86_400, gt=0, description="Longest time from the start of an attempt to its transcript, in seconds."
    )
    enrichment_timeout_seconds: float = Field(
        default=300, gt=0, description="Seconds that a job waits for its metadata; then it is completed without."
    )
    watchdog_interval_seconds: float = Field(
        default=5, gt=0, description="Seconds between two checks for work without progress."
    )
    dead_work_grace_seconds: float = Field(
        default=6,  # the five seconds between heartbeats, and a delay
        ge=0,
        description="Seconds to wait for a heartbeat of a worker that still has dead-lettered work in progress.",
    )
    worker_timeout_seconds: float = Field(
        default=60, gt=0, description="Seconds without a heartbeat after which a worker does not count as live."
    )

    event_watchers: int = Field(default=2000, ge=1, description="Concurrent event streams per replica.")
    event_stream_seconds: float = Field(
        default=3600, gt=0, description="Seconds after which an event stream ends; clients reconnect."
    )
    event_heartbeat_seconds: float = Field(
        default=15, gt=0, description="Seconds without an event after which an event stream sends a comment."
    )

    log_retention_days: float = Field(
        default=14,
        gt=0,
        description="Days that log records about jobs are kept.",
    )
    log_retention_lines: int = Field(
        default=2_000_000, ge=0, description="Log records about jobs that are kept, the newest ones."
    )
    system_log_retention_days: float = Field(
        default=7, gt=0, description="Days that log records without a job are kept; the same for HTTP access records."
    )
    system_log_retention_lines: int = Field(
        default=500_000,
        ge=0,
        description="Log records without a job that are kept, the newest ones; the same for HTTP access records.",
    )

    @property
    def work_timeout(self) -> timedelta:
        """Time without progress after which work is sent again."""
        return timedelta(seconds=self.work_timeout_seconds)

    @property
    def deadline(self) -> timedelta:
        """Longest time of an attempt."""
        return timedelta(seconds=self.whisper_timeout_seconds)

    @property
    def enrichment_timeout(self) -> timedelta:
        """Longest wait for metadata."""
        return timedelta(seconds=self.enrichment_timeout_seconds)

    @property
    def worker_timeout(self) -> timedelta:
        """Time without a heartbeat after which a worker is not live."""
        return timedelta(seconds=self.worker_timeout_seconds)

    def log_limits(self, *, of_jobs: bool) -> tuple[timedelta, int]:
        """Return the age and the number of log records that are kept."""
        if of_jobs:
            return timedelta(days=self.log_retention_days), self.log_retention_lines
        return timedelta(days=self.system_log_retention_days), self.system_log_retention_lines
