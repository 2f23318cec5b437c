"""Bodies of requests and responses."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.events import StorageUse

from .tables import Report

JOBS = "delete all jobs"
JOBS_AND_USERS = "delete all jobs and users"


class Kind(StrEnum):
    """The purpose of a file."""

    UPLOADS = "uploads"
    CHUNKS = "chunks"
    RESULTS = "results"
    TRANSCRIPTS = "transcripts"


class FileView(BaseModel):
    """A stored file."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "uploads/4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10/source",
                    "kind": "uploads",
                    "size": 1_048_576,
                    "modified": "2026-01-31T12:00:00Z",
                    "job_id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
                    "owner_id": "d4c1a2b3-0f5e-4b6a-8c7d-9e0f1a2b3c4d",
                    "file_name": "interview.m4a",
                    "job_state": "completed",
                }
            ]
        }
    )

    key: str
    kind: Kind = Field(
        description="uploads: recordings. chunks: plans and chunk audio. results: of chunks. transcripts."
    )
    size: int = Field(description="Bytes.")
    modified: datetime
    job_id: UUID
    owner_id: UUID | None = Field(description="Null: no event about the job has arrived yet.")
    file_name: str | None = Field(description="Name of the uploaded recording.")
    job_state: str | None = Field(description="live, completed, failed, cancelled or deleted; null: unknown.")


class FilePage(BaseModel):
    """A page of files, ordered by key."""

    items: list[FileView]
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last one.")


class StorageReport(BaseModel):
    """Number and size of the stored objects by kind, and the time of the measurement."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "measured_at": "2026-01-31T12:00:00Z",
                    "seconds": 0.4,
                    "kinds": {"uploads": {"objects": 240, "bytes": 12_884_901_888}},
                    "other": {"objects": 0, "bytes": 0},
                    "objects": 240,
                    "bytes": 12_884_901_888,
                }
            ]
        }
    )

    measured_at: datetime
    seconds: float = Field(description="Duration of the measurement in seconds.")
    kinds: dict[Kind, StorageUse]
    other: StorageUse = Field(description="Objects that belong to no job; cleanup never deletes them.")
    objects: int
    bytes: int


_REPORT_EXAMPLE: dict[str, Any] = {
    "id": 42,
    "cause": "schedule",
    "state": "finished",
    "requested_at": None,
    "requested_by": None,
    "started_at": "2026-01-31T12:00:00Z",
    "finished_at": "2026-01-31T12:00:02Z",
    "freed": {"tombstoned": {"objects": 31, "bytes": 48_234_496, "jobs": 2}},
    "failed": [],
    "objects": 31,
    "bytes": 48_234_496,
}


class FreedByRule(BaseModel):
    """What one rule deleted."""

    objects: int
    bytes: int = Field(description="Parts of unfinished uploads have no known size and count as 0.")
    jobs: int


class ReportView(BaseModel):
    """A sweep and what it deleted."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REPORT_EXAMPLE]})

    id: int
    cause: Literal["schedule", "deletion", "request"]
    state: Literal["waiting", "running", "finished"]
    requested_at: datetime | None
    requested_by: UUID | None
    started_at: datetime | None
    finished_at: datetime | None
    freed: dict[str, FreedByRule] = Field(description="By rule; complete once the sweep is finished.")
    failed: list[str] = Field(description="Rules that failed; the next sweep repeats them.")
    objects: int
    bytes: int

    @classmethod
    def of(cls, row: Report) -> "ReportView":
        """The view of a row."""
        freed = {rule: FreedByRule.model_validate(numbers) for rule, numbers in row.freed.items()}
        state = "finished" if row.finished_at else "running" if row.started_at else "waiting"
        return cls.model_validate(
            {
                "state": state,
                "freed": freed,
                "objects": sum(each.objects for each in freed.values()),
                "bytes": sum(each.bytes for each in freed.values()),
                **{name: getattr(row, name) for name in cls.model_fields if name in _COLUMNS},
            }
        )


_COLUMNS = ("id", "cause", "requested_at", "requested_by", "started_at", "finished_at", "failed")


class ReportPage(BaseModel):
    """A page of reports, newest first."""

    items: list[ReportView]
    next_cursor: int | None = Field(description="Cursor of the next page; null on the last one.")


_TEN_YEARS = 3660.0
_CONFIG_EXAMPLE: dict[str, Any] = {
    "cleanup_enabled": True,
    "cleanup_days": 90.0,
    "cleanup_interval_seconds": 3600.0,
    "orphan_age_hours": 24.0,
    "chunk_audio_hours": 24.0,
}


class NewCleanupConfig(BaseModel):
    """The new configuration; null or omitted: use the value of the service's environment."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_CONFIG_EXAMPLE]})

    cleanup_enabled: bool | None = Field(
        default=None, description="Off: nothing is deleted on a schedule. What users delete is deleted in any case."
    )
    cleanup_days: float | None = Field(
        default=None,
        ge=0,
        le=_TEN_YEARS,
        allow_inf_nan=False,
        description="Days for which a finished job is kept; 0: for ever.",
    )
    cleanup_interval_seconds: float | None = Field(
        default=None, ge=1, le=30 * 86_400, allow_inf_nan=False, description="Seconds between two sweeps of all rules."
    )
    # At least an hour: the event about a job may arrive late, and its upload must not be deleted as an orphan.
    orphan_age_hours: float | None = Field(
        default=None,
        ge=1,
        le=24 * _TEN_YEARS,
        allow_inf_nan=False,
        description="Hours after which an upload without a job is deleted.",
    )
    chunk_audio_hours: float | None = Field(
        default=None, ge=0, le=24 * _TEN_YEARS, allow_inf_nan=False, description="Hours for which chunk audio is kept."
    )


class CleanupConfigView(BaseModel):
    """The effective configuration, and who changed it last."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _CONFIG_EXAMPLE
                | {"changed_at": "2026-01-31T12:00:00Z", "changed_by": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"}
            ]
        }
    )

    cleanup_enabled: bool
    cleanup_days: float
    cleanup_interval_seconds: float
    orphan_age_hours: float
    chunk_audio_hours: float
    changed_at: datetime | None = Field(description="Null: never changed, the environment applies.")
    changed_by: UUID | None


class NewReset(BaseModel):
    """What to delete, and the phrase that confirms it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"confirmation": JOBS}, {"confirmation": JOBS_AND_USERS, "users": True}]},
    )

    confirmation: str = Field(max_length=100, description=f"Exactly: {JOBS}. With users: {JOBS_AND_USERS}.")
    users: bool = Field(default=False, description="Also delete all accounts except your own.")


_RESET_EXAMPLE: dict[str, Any] = {
    "requested_at": "2026-01-31T12:00:00Z",
    "requested_by": "d4c1a2b3-0f5e-4b6a-8c7d-9e0f1a2b3c4d",
    "users": False,
    "uploads": 2,
}


class ResetView(BaseModel):
    """The reset that was ordered."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RESET_EXAMPLE]})

    requested_at: datetime = Field(description="Jobs created up to this time are deleted in the background.")
    requested_by: UUID
    users: bool
    uploads: int = Field(description="Number of resumable uploads that are aborted.")
