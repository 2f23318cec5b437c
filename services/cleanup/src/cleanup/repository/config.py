"""What cleanup does when: the environment's word, unless an administrator set something else."""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from .repository import wake_sweepers
from .settings import Settings
from .tables import Config

log = structlog.get_logger(__name__)

_TEN_YEARS = 3660.0
_EXAMPLE: dict[str, Any] = {
    "cleanup_enabled": True,
    "cleanup_days": 90.0,
    "cleanup_interval_seconds": 3600.0,
    "orphan_age_hours": 24.0,
    "chunk_audio_hours": 24.0,
}


class NewCleanupConfig(BaseModel):
    """What shall count from now on; null (or left out) is what the service's environment says."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    cleanup_enabled: bool | None = Field(
        default=None, description="Off: nothing goes on a schedule. What users delete goes in any case."
    )
    cleanup_days: float | None = Field(
        default=None, ge=0, le=_TEN_YEARS, allow_inf_nan=False, description="Days that a finished job is kept; 0: ever."
    )
    cleanup_interval_seconds: float | None = Field(
        default=None, ge=1, le=30 * 86_400, allow_inf_nan=False, description="Seconds between two rounds of all rules."
    )
    # Not less than an hour: an upload whose job is announced late must not be taken for an orphan.
    orphan_age_hours: float | None = Field(
        default=None,
        ge=1,
        le=24 * _TEN_YEARS,
        allow_inf_nan=False,
        description="Hours until an upload without job goes.",
    )
    chunk_audio_hours: float | None = Field(
        default=None, ge=0, le=24 * _TEN_YEARS, allow_inf_nan=False, description="Hours that chunk audio stays."
    )


class CleanupConfigView(BaseModel):
    """What counts now, and who set it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _EXAMPLE | {"changed_at": "2026-01-31T12:00:00Z", "changed_by": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"}
            ]
        }
    )

    cleanup_enabled: bool
    cleanup_days: float
    cleanup_interval_seconds: float
    orphan_age_hours: float
    chunk_audio_hours: float
    changed_at: datetime | None = Field(description="Null: nothing was set, the environment counts.")
    changed_by: UUID | None


class ConfigStore:
    """Reads and writes the one row."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        """Work in the given session; the caller commits."""
        self._session = session
        self._settings = settings

    async def effective(self) -> Settings:
        """The settings with what was set at run time in place of the environment's."""
        row = await self._session.scalar(select(Config))
        changes = {
            name: value for name in NewCleanupConfig.model_fields if (value := getattr(row, name, None)) is not None
        }
        return self._settings.model_copy(update=changes)

    async def view(self) -> CleanupConfigView:
        """What counts now."""
        row, settings = await self._session.scalar(select(Config)), await self.effective()
        return CleanupConfigView(
            **{name: getattr(settings, name) for name in NewCleanupConfig.model_fields},
            changed_at=None if row is None else row.changed_at,
            changed_by=None if row is None else row.changed_by,
        )

    async def put(self, new: NewCleanupConfig, by: UUID) -> CleanupConfigView:
        """Let this count from the commit on, on every replica."""
        values = {**new.model_dump(), "changed_at": func.now(), "changed_by": by}
        await self._session.execute(
            insert(Config).values(**values).on_conflict_do_update(index_elements=[Config.only_row], set_=values)
        )
        wake_sweepers(self._session)
        log.warning("cleanup configuration changed", by=str(by), **new.model_dump())
        return await self.view()
