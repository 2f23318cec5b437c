"""Key figures of the platform, computed from rows on request."""

from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from jobs.repository import DeadLetterRepository, FiguresRepository, InstanceRepository, WorkerRepository
from jobs.schemas.figures import WINDOWS, Gpu, InstanceView, Kpis, Queue, Stats, Storage, Window, WorkerView
from jobs.settings import Settings


class Figures:
    """Computes the figures; all times are those of the database's clock."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self._settings = settings
        self._figures = FiguresRepository(session)
        self._workers = WorkerRepository(session)
        self._instances = InstanceRepository(session)
        self._letters = DeadLetterRepository(session)

    async def stats(self, window: Window) -> Stats:
        """Return all figures, those of ended jobs over the window."""
        return Stats(
            kpis=await self._kpis(window),
            queue=await self._queue(),
            instances=await self.instances(),
            gpus=[
                Gpu(worker=worker.worker, **worker.gpu.model_dump())
                for worker in await self.workers()
                if worker.gpu is not None and worker.alive
            ],
            storage=[Storage(**_columns(row, Storage)) for row in await self._instances.storage()],
        )

    async def workers(self) -> list[WorkerView]:
        """Return every worker with a recent heartbeat."""
        rows = await self._workers.all(self._settings.worker_timeout)
        return [WorkerView(**_columns(worker, WorkerView), alive=is_live) for worker, is_live in rows]

    async def instances(self) -> list[InstanceView]:
        """Return every service process with a recent heartbeat."""
        rows = await self._instances.all()
        return [InstanceView(**_columns(row, InstanceView), alive=is_live) for row, is_live in rows]

    async def _kpis(self, window: Window) -> Kpis:
        row = await self._figures.ended(WINDOWS[window])
        ended = row.completed + row.failed
        return Kpis(
            window=window,
            completed=row.completed,
            failed=row.failed,
            cancelled=row.cancelled,
            jobs_per_hour=round(row.completed / (WINDOWS[window] / timedelta(hours=1)), 3),
            mean_run_seconds=_rounded(row.mean),
            p95_run_seconds=_rounded(row.p95),
            success_rate=round(row.completed / ended, 4) if ended else None,
            audio_seconds=round(row.audio or 0.0, 3),
            rtfx=_ratio(row.audio, row.spent),
            rtfx_decoding=_ratio(row.audio, row.decoding),
            mean_queue_seconds=_rounded(row.waited),
            cpu_seconds=round(row.cpu, 3),
            gpu_seconds=round(row.gpu, 3),
            wasted_seconds=round(row.wasted, 3),
            retries=row.retries,
            failures={
                failure.reason_code or "unknown": failure.jobs
                for failure in await self._figures.failures(WINDOWS[window])
            },
        )

    async def _queue(self) -> Queue:
        row = await self._figures.queue()
        return Queue(
            queued=row.queued,
            processing=row.processing,
            enriching=row.enriching,
            oldest_queued_seconds=round(row.oldest, 3),
            audio_seconds_waiting=round(row.audio_seconds, 3),
            unmeasured_jobs=row.unmeasured,
            unmeasured_bytes=row.unmeasured_bytes,
            dead_letters=await self._letters.waiting(),
        )


def _columns(row: Any, view: type[BaseModel]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in view.model_fields if name != "alive"}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(float(seconds), 3)


def _ratio(audio: float | None, seconds: float | None) -> float | None:
    return round(audio / seconds, 3) if audio and seconds else None
