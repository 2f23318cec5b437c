"""The configuration: the settings, overridden by what an administrator has set."""

from uuid import UUID

import structlog
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from cleanup.schemas import CleanupConfigView, NewCleanupConfig
from cleanup.settings import Settings
from cleanup.tables import Config

from .jobs import wake_sweepers

log = structlog.get_logger(__name__)


class ConfigStore:
    """The single row of the table `config`, in the transaction of the caller."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self._session = session
        self._settings = settings

    async def effective(self) -> Settings:
        """The settings, with the values of the row in place of the environment's."""
        row = await self._session.scalar(select(Config))
        changes = {
            name: value for name in NewCleanupConfig.model_fields if (value := getattr(row, name, None)) is not None
        }
        return self._settings.model_copy(update=changes)

    async def view(self) -> CleanupConfigView:
        """The effective configuration."""
        row, settings = await self._session.scalar(select(Config)), await self.effective()
        return CleanupConfigView(
            **{name: getattr(settings, name) for name in NewCleanupConfig.model_fields},
            changed_at=None if row is None else row.changed_at,
            changed_by=None if row is None else row.changed_by,
        )

    async def put(self, new: NewCleanupConfig, by: UUID) -> CleanupConfigView:
        """Store the configuration and notify every replica at the commit."""
        values = {**new.model_dump(), "changed_at": func.now(), "changed_by": by}
        await self._session.execute(
            insert(Config).values(**values).on_conflict_do_update(index_elements=[Config.only_row], set_=values)
        )
        wake_sweepers(self._session)
        log.warning("cleanup configuration changed", changed_by=str(by), **new.model_dump())
        return await self.view()
