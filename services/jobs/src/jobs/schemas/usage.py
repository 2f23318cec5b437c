"""HTTP bodies of quotas."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from .examples import USAGE_EXAMPLE


class Allowance(BaseModel):
    """Usage and limit of one quota."""

    used: float
    allowed: float | None = Field(description="null = unlimited.")
    resets_at: datetime | None = Field(default=None, description="When the count is reset; null = never.")


class Usage(BaseModel):
    """The quotas of a user."""

    model_config = ConfigDict(json_schema_extra={"examples": [USAGE_EXAMPLE]})

    queued_jobs: Allowance = Field(description="Queued jobs.")
    stored_bytes: Allowance = Field(description="Bytes of all recordings, unfinished uploads included.")
    audio_hours_per_day: Allowance = Field(description="Hours of audio planned since midnight (UTC).")
