"""Every variable that the jobs service reads."""

from datetime import timedelta

from pydantic import Field

from common.settings import BrokerSettings, DatabaseSettings, IdentitySettings, ServiceSettings


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, IdentitySettings):
    """The shared parts, and the numbers behind dispatch, patience and retention."""

    # Slots: how many jobs are processed at once on the whole platform.
    max_concurrent_jobs: int = Field(default=4, ge=1)
    # How many chunks of one job may be with the workers, so that a long recording never starves a short one.
    chunks_in_flight_per_job: int = Field(default=4, ge=1)
    # How many chunks of one model may be out per live worker that serves it: enough that no worker idles between two
    # chunks. What is already in the broker's queue can no longer be ordered fairly.
    chunks_in_flight_per_worker: int = Field(default=4, ge=1)

    # Work that shows no progress for this long is sent again; the second repetition waits twice as long, and so on.
    work_timeout_seconds: float = Field(default=600, gt=0)
    # The longest that an attempt may take from its start to the transcript.
    whisper_timeout_seconds: float = Field(default=86_400, gt=0)
    # A transcript without metadata is complete after this.
    enrichment_timeout_seconds: float = Field(default=300, gt=0)
    watchdog_interval_seconds: float = Field(default=5, gt=0)
    # A worker not heard for this long is not counted as live.
    worker_timeout_seconds: float = Field(default=60, gt=0)

    # The log archive of jobs: lines are removed by age and by number, whichever comes first.
    log_retention_days: float = Field(default=14, gt=0)
    log_retention_lines: int = Field(default=2_000_000, ge=0)

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

    @property
    def log_retention(self) -> timedelta:
        """The age at which archived log lines go."""
        return timedelta(days=self.log_retention_days)
