"""HTTP bodies of the limits that administrators change at run time."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

_EXAMPLE: dict[str, Any] = {
    "max_concurrent_jobs": 8,
    "chunks_in_flight_per_job": None,
    "chunks_in_flight_per_worker": None,
    "paused_workers": ["transcriber-2"],
}


class NewConcurrency(BaseModel):
    """New limits; null or omitted = the value of the service's environment."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    max_concurrent_jobs: int | None = Field(
        default=None, ge=1, le=10_000, description="Slots: jobs processed at once on the whole platform."
    )
    chunks_in_flight_per_job: int | None = Field(
        default=None, ge=1, le=10_000, description="Chunks of one job in flight at once."
    )
    chunks_in_flight_per_worker: int | None = Field(
        default=None, ge=1, le=10_000, description="Chunks of one model in flight per live worker."
    )
    paused_workers: list[str] = Field(
        default=[], max_length=1000, description="Workers that finish their work and take no new work."
    )

    @field_validator("paused_workers")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if any("\x00" in name or len(name) > 200 for name in value):
            raise ValueError("must be names of workers of at most 200 characters, without U+0000")
        return sorted(set(value))


class ConcurrencyView(BaseModel):
    """The limits in effect, and who changed them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "max_concurrent_jobs": 8,
                    "chunks_in_flight_per_job": 4,
                    "chunks_in_flight_per_worker": 4,
                    "paused_workers": ["transcriber-2"],
                    "changed_at": "2026-01-31T12:00:00Z",
                    "changed_by": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
                }
            ]
        }
    )

    max_concurrent_jobs: int
    chunks_in_flight_per_job: int
    chunks_in_flight_per_worker: int
    paused_workers: list[str]
    changed_at: datetime | None = Field(description="null = not changed, the environment applies.")
    changed_by: UUID | None
