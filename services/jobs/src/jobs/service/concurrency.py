"""How much is worked on at once: set at run time, kept in the database, applied by dispatch and by the workers."""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from common.database import Notifications, is_outage, ring
from common.events import PauseWorkers
from common.messaging import Broker
from jobs.repository import JobRepository
from jobs.settings import Settings
from jobs.tables import Worker

from .errors import WorkerNotKnown
from .tables import Concurrency

log = structlog.get_logger(__name__)

_CHANNEL = "concurrency"
# How long a worker that starts, or that missed the announcement, goes on without knowing that it is paused.
_REPEAT_SECONDS = 5.0

_EXAMPLE: dict[str, Any] = {
    "max_concurrent_jobs": 8,
    "chunks_in_flight_per_job": None,
    "chunks_in_flight_per_worker": None,
    "paused_workers": ["transcriber-2"],
}


class NewConcurrency(BaseModel):
    """What shall count from now on; null (or left out) is what the service's environment says."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    max_concurrent_jobs: int | None = Field(
        default=None, ge=1, le=10_000, description="Slots: jobs processed at once on the whole platform."
    )
    chunks_in_flight_per_job: int | None = Field(
        default=None, ge=1, le=10_000, description="Chunks of one job that may be with the workers."
    )
    chunks_in_flight_per_worker: int | None = Field(
        default=None, ge=1, le=10_000, description="Chunks of one model that may be out per live worker."
    )
    paused_workers: list[str] = Field(
        default=[], max_length=1000, description="Workers that finish what they have and take nothing new."
    )

    @field_validator("paused_workers")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if any("\x00" in name or len(name) > 200 for name in value):
            raise ValueError("these are not names of workers")
        return sorted(set(value))


class ConcurrencyView(BaseModel):
    """What counts now, and who set it."""

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
    changed_at: datetime | None = Field(description="Null: nothing was set, the environment counts.")
    changed_by: UUID | None


class ConcurrencyStore:
    """Reads and writes the one row."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        """Work inside the caller's transaction."""
        self._session = session
        self._settings = settings

    async def effective(self) -> Settings:
        """The settings with what was set at run time in place of the environment's."""
        row = await self._row()
        names = ("max_concurrent_jobs", "chunks_in_flight_per_job", "chunks_in_flight_per_worker")
        changes = {name: value for name in names if (value := getattr(row, name, None)) is not None}
        return self._settings.model_copy(update=changes) if changes else self._settings

    async def view(self) -> ConcurrencyView:
        """What counts now."""
        row, settings = await self._row(), await self.effective()
        return ConcurrencyView(
            max_concurrent_jobs=settings.max_concurrent_jobs,
            chunks_in_flight_per_job=settings.chunks_in_flight_per_job,
            chunks_in_flight_per_worker=settings.chunks_in_flight_per_worker,
            paused_workers=[] if row is None else row.paused_workers,
            changed_at=None if row is None else row.changed_at,
            changed_by=None if row is None else row.changed_by,
        )

    async def put(self, new: NewConcurrency, by: UUID) -> ConcurrencyView:
        """Let this count from the commit on; raises WorkerNotKnown."""
        known = (await self._session.scalars(select(Worker.worker).order_by(Worker.worker))).all()
        if unknown := sorted(set(new.paused_workers) - set(known)):
            raise WorkerNotKnown(unknown, known)
        values = {**new.model_dump(), "changed_by": by, "changed_at": func.now()}
        await self._session.execute(
            insert(Concurrency).values(**values).on_conflict_do_update(index_elements=["only_row"], set_=values)
        )
        ring(self._session, _CHANNEL)
        JobRepository(self._session).wake_dispatch()
        log.warning("concurrency changed", by=str(by), **new.model_dump())
        self._session.expire_all()
        return await self.view()

    async def paused(self) -> list[str]:
        """Workers that should take no new work."""
        row = await self._row()
        return [] if row is None else row.paused_workers

    async def _row(self) -> Concurrency | None:
        return await self._session.scalar(select(Concurrency))


class Announcer:
    """Tells the workers who is paused: at once when it changes, and again and again for those that just started."""

    def __init__(
        self, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], broker: Broker, settings: Settings
    ) -> None:
        """Connects when it runs."""
        self._engine = engine
        self._sessions = sessions
        self._broker = broker
        self._settings = settings

    async def run(self) -> None:
        """Announce for ever."""
        async with Notifications(self._engine, _CHANNEL) as doorbell:
            while True:
                try:
                    async with self._sessions() as session:
                        paused = await ConcurrencyStore(session, self._settings).paused()
                except Exception as error:
                    if not is_outage(error):
                        raise
                else:
                    await self._broker.broadcast(PauseWorkers(workers=paused))
                await doorbell.wait(_REPEAT_SECONDS)
