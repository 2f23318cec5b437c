"""Every variable that the jobs service reads."""

from datetime import timedelta

from pydantic import Field

from common.settings import BrokerSettings, DatabaseSettings, IdentitySettings, InternalSettings, ServiceSettings

GIB = 1024**3


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, IdentitySettings, InternalSettings):
    """The shared parts, and the numbers behind dispatch, patience and retention."""

    max_concurrent_jobs: int = Field(default=4, ge=1, description="Jobs processed at once on the whole platform.")
    chunks_in_flight_per_job: int = Field(
        default=4,
        ge=1,
        description="Chunks of one job with the workers at once; few, so that a long recording starves no short one.",
    )
    chunks_in_flight_per_worker: int = Field(
        default=1,
        ge=1,
        # What is in the broker's queue can no longer be ordered fairly.
        description="Full chunks of a model that may be out per live worker that serves it, and half a chunk besides.",
    )

    quota_queued_jobs: int = Field(
        default=10_000, ge=0, description="Jobs of one user that may wait for a slot at once; 0 = any number."
    )
    quota_stored_bytes: int = Field(
        default=200 * GIB, ge=0, description="Bytes that the recordings of one user's jobs may take up; 0 = any number."
    )
    quota_audio_hours_per_day: float = Field(
        default=240,
        ge=0,
        description="Hours of audio that one user may have transcribed in a day (UTC), counted when a recording's plan"
        " ends; then no further job is accepted until midnight. 0 = any number.",
    )
    quotas_exempt_admins: bool = Field(default=True, description="Whether the three quotas leave administrators alone.")

    work_timeout_seconds: float = Field(
        default=600,
        gt=0,
        description="Seconds without progress after which work is sent again; each repetition waits twice as long.",
    )
    whisper_timeout_seconds: float = Field(
        default=86_400, gt=0, description="Longest time from the start of an attempt to its transcript, in seconds."
    )
    enrichment_timeout_seconds: float = Field(
        default=300, gt=0, description="Seconds that a transcript waits for its metadata; then it is complete without."
    )
    watchdog_interval_seconds: float = Field(
        default=5, gt=0, description="Seconds between two looks for work without progress."
    )
    dead_work_grace_seconds: float = Field(
        default=6,  # a heartbeat, which comes every five seconds, and its way
        ge=0,
        description="Seconds for a worker to say that it still holds work whose deliveries are used up.",
    )
    worker_timeout_seconds: float = Field(
        default=60, gt=0, description="Seconds of silence after which a worker is not counted as live."
    )

    event_watchers: int = Field(default=2000, ge=1, description="Clients that may follow jobs at this replica at once.")
    event_stream_seconds: float = Field(
        default=3600, gt=0, description="Seconds after which a connection that follows a job ends; clients come back."
    )
    event_heartbeat_seconds: float = Field(
        default=15, gt=0, description="Seconds without an event after which such a connection shows that it lives."
    )

    log_retention_days: float = Field(
        default=14,
        gt=0,
        description="Days that lines stay in the log archive of jobs.",
    )
    log_retention_lines: int = Field(
        default=2_000_000, ge=0, description="Lines kept in the log archive of jobs, the newest ones."
    )
    system_log_retention_days: float = Field(
        default=7, gt=0, description="Age at which archived log lines without a job go; the same for HTTP access lines."
    )
    system_log_retention_lines: int = Field(
        default=500_000,
        ge=0,
        description="Lines without a job that are kept, and lines about HTTP requests; they push out no job's.",
    )

    @property
    def work_timeout(self) -> timedelta:
        """Patience with work that is out."""
        return timedelta(seconds=self.work_timeout_seconds)

    @property
    def deadline(self) -> timedelta:
        """The longest that an attempt may take."""
        return timedelta(seconds=self.whisper_timeout_seconds)

    @property
    def enrichment_timeout(self) -> timedelta:
        """Patience with metadata."""
        return timedelta(seconds=self.enrichment_timeout_seconds)

    @property
    def worker_timeout(self) -> timedelta:
        """Patience with a silent worker."""
        return timedelta(seconds=self.worker_timeout_seconds)

    def log_limits(self, *, of_jobs: bool) -> tuple[timedelta, int]:
        """The age at which archived log lines go, and how many are kept."""
        if of_jobs:
            return timedelta(days=self.log_retention_days), self.log_retention_lines
        return timedelta(days=self.system_log_retention_days), self.system_log_retention_lines
