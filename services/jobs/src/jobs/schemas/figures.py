"""The platform's figures, each computed from rows when it is asked for."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import EngineTuning, GpuUse
from jobs.settings import Settings
from jobs.tables import Worker

from . import deadletters
from .tables import Instance, StoredKind

Window = Literal["1h", "24h", "7d", "30d"]
WINDOWS: dict[Window, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
# Three heartbeats.
_INSTANCE_TIMEOUT = timedelta(seconds=35)

_FINISHED = text("""
    SELECT count(*) FILTER (WHERE state = 'completed') AS completed,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
           avg(extract(epoch FROM finished_at - started_at)) FILTER (WHERE state = 'completed')::float AS mean,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - started_at)::float)
               FILTER (WHERE state = 'completed') AS p95,
           sum(duration_seconds) FILTER (WHERE state = 'completed') AS audio,
           sum(extract(epoch FROM transcribed_at - started_at)) FILTER (WHERE state = 'completed')::float AS spent,
           sum(decode_seconds) FILTER (WHERE state = 'completed') AS decoding,
           avg(extract(epoch FROM started_at - queued_at)) FILTER (WHERE state = 'completed')::float AS waited,
           coalesce(sum(cpu_seconds), 0) AS cpu, coalesce(sum(gpu_seconds), 0) AS gpu,
           coalesce(sum(wasted_seconds), 0) AS wasted, coalesce(sum(retries), 0)::int AS retries
    FROM jobs WHERE finished_at > now() - CAST(:window AS interval)
""")
_REASONS = text("""
    SELECT reason_code, count(*) AS jobs FROM jobs
    WHERE state = 'failed' AND finished_at > now() - CAST(:window AS interval)
    GROUP BY reason_code ORDER BY jobs DESC, reason_code LIMIT 20
""")
# A job's length is known once its plan has ended, or from an earlier attempt.
_QUEUE = text("""
    SELECT count(*) FILTER (WHERE state = 'queued') AS queued,
           count(*) FILTER (WHERE state = 'processing') AS processing,
           count(*) FILTER (WHERE state = 'enriching') AS enriching,
           coalesce(sum(duration_seconds) FILTER (WHERE state = 'queued'), 0)::float
             + coalesce(sum(greatest(seconds_known - seconds_done, 0)) FILTER (WHERE state = 'processing'), 0)::float
             AS audio_seconds,
           count(*) FILTER (WHERE state = 'queued' AND duration_seconds IS NULL) AS unmeasured,
           coalesce(sum(size_bytes) FILTER (WHERE state = 'queued' AND duration_seconds IS NULL), 0)::bigint
             AS unmeasured_bytes,
           coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'queued')), 0)::float AS oldest
    FROM jobs WHERE state IN ('queued', 'processing', 'enriching')
""")


class Kpis(BaseModel):
    """What ended within the window; null = nothing there to compute it from. Deleted jobs do not count."""

    window: Window
    completed: int
    failed: int
    cancelled: int
    jobs_per_hour: float = Field(description="Completed jobs per hour of the window.")
    mean_run_seconds: float | None = Field(description="From the start of the attempt to the end, completed jobs.")
    p95_run_seconds: float | None
    success_rate: float | None = Field(ge=0, le=1, description="Completed of those completed or failed.")
    audio_seconds: float = Field(description="Length of the recordings completed.")
    rtfx: float | None = Field(description="Seconds of recording per second from start to transcript.")
    rtfx_decoding: float | None = Field(description="Seconds of recording per second that a worker decoded.")
    mean_queue_seconds: float | None = Field(description="That completed jobs waited for a slot.")
    cpu_seconds: float = Field(description="Spent on all these jobs, by processors.")
    gpu_seconds: float = Field(description="The same for GPUs.")
    wasted_seconds: float = Field(description="Of decoding whose results were not used.")
    retries: int = Field(description="How often chunks were delivered or sent again.")
    failures: dict[str, int] = Field(description="Failed jobs by reason code.")


class Queue(BaseModel):
    """What waits now."""

    queued: int
    processing: int
    enriching: int
    oldest_queued_seconds: float
    audio_seconds_waiting: float = Field(description="Known to wait: not yet decoded, of recordings measured already.")
    unmeasured_jobs: int = Field(description="Queued recordings whose length nobody knows yet.")
    unmeasured_bytes: int
    dead_letters: int = Field(description="Not replayed and not discarded.")


class InstanceView(BaseModel):
    """A service process with its children."""

    service: str
    instance: str
    host: str
    pid: int
    version: str
    started_at: datetime
    last_seen_at: datetime
    alive: bool
    cpu_percent: float = Field(description="Of one core, over the last ten seconds.")
    memory_bytes: int


class Gpu(GpuUse):
    """A worker's GPU."""

    worker: str


class Storage(BaseModel):
    """How much of one kind of file there is."""

    kind: str
    objects: int
    bytes: int
    measured_at: datetime


class Stats(BaseModel):
    """The state of the platform in figures."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kpis": {
                        "window": "24h",
                        "completed": 240,
                        "failed": 2,
                        "cancelled": 1,
                        "jobs_per_hour": 10.0,
                        "mean_run_seconds": 41.2,
                        "p95_run_seconds": 130.5,
                        "success_rate": 0.9917,
                        "audio_seconds": 86_400.0,
                        "rtfx": 9.4,
                        "rtfx_decoding": 11.0,
                        "mean_queue_seconds": 2.1,
                        "cpu_seconds": 8900.0,
                        "gpu_seconds": 0.0,
                        "wasted_seconds": 12.4,
                        "retries": 3,
                        "failures": {"no_audio": 2},
                    },
                    "queue": {
                        "queued": 3,
                        "processing": 4,
                        "enriching": 0,
                        "oldest_queued_seconds": 12.5,
                        "audio_seconds_waiting": 1800.0,
                        "unmeasured_jobs": 3,
                        "unmeasured_bytes": 52_428_800,
                        "dead_letters": 0,
                    },
                    "instances": [],
                    "gpus": [],
                    "storage": [
                        {"kind": "uploads", "objects": 240, "bytes": 12_000, "measured_at": "2026-01-31T12:00:00Z"}
                    ],
                }
            ]
        }
    )

    kpis: Kpis
    queue: Queue
    instances: list[InstanceView]
    gpus: list[Gpu]
    storage: list[Storage] = Field(description="As cleanup last measured it; see also /admin/storage.")


class WorkerView(BaseModel):
    """A transcriber as its last heartbeat described it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "worker": "transcriber-1",
                    "host": "node-a",
                    "pid": 4711,
                    "device": "cpu",
                    "engine": "ctranslate2",
                    "models": ["base"],
                    "slots": 1,
                    "paused": False,
                    "busy": "chunk/4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10/1/3",
                    "version": "0.1.0",
                    "gpu": None,
                    "tuning": {
                        "version": "4.8.5+openvino-2026.4.1",
                        "compute_type": "bfloat16+float32",
                        "threads": 1,
                        "batch_windows": 8,
                    },
                    "first_seen_at": "2026-01-31T11:00:00Z",
                    "last_seen_at": "2026-01-31T12:00:00Z",
                    "alive": True,
                }
            ]
        }
    )

    worker: str
    host: str
    pid: int
    device: str
    engine: str
    models: list[str]
    slots: int = Field(description="Chunks it takes at once.")
    paused: bool
    busy: str | None = Field(description="The work in its hands; null = none.")
    version: str
    gpu: GpuUse | None
    tuning: EngineTuning | None = Field(description="How its engine uses the machine; null = it has not said.")
    first_seen_at: datetime
    last_seen_at: datetime
    alive: bool


class WorkerList(BaseModel):
    """Every worker heard of within a day, by name."""

    items: list[WorkerView]


class Figures:
    """Asks the database; all clocks are the database's."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        """Work inside the caller's transaction."""
        self._session = session
        self._settings = settings

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
            storage=[
                Storage(kind=row.kind, objects=row.objects, bytes=row.bytes, measured_at=row.measured_at)
                for row in await self._session.scalars(select(StoredKind).order_by(StoredKind.kind))
            ],
        )

    async def workers(self) -> list[WorkerView]:
        """Return every worker heard of lately."""
        alive = Worker.last_seen_at > func.now() - self._settings.worker_timeout
        rows = await self._session.execute(select(Worker, alive).order_by(Worker.worker))
        return [WorkerView(**_columns(worker, WorkerView), alive=is_alive) for worker, is_alive in rows]

    async def instances(self) -> list[InstanceView]:
        """Return every service process heard of lately."""
        alive = Instance.last_seen_at > func.now() - _INSTANCE_TIMEOUT
        rows = await self._session.execute(select(Instance, alive).order_by(Instance.service, Instance.instance))
        return [InstanceView(**_columns(row, InstanceView), alive=is_alive) for row, is_alive in rows]

    async def _kpis(self, window: Window) -> Kpis:
        row = (await self._session.execute(_FINISHED, {"window": WINDOWS[window]})).one()
        reasons = await self._session.execute(_REASONS, {"window": WINDOWS[window]})
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
            failures={reason.reason_code or "unknown": reason.jobs for reason in reasons},
        )

    async def _queue(self) -> Queue:
        row = (await self._session.execute(_QUEUE)).one()
        return Queue(
            queued=row.queued,
            processing=row.processing,
            enriching=row.enriching,
            oldest_queued_seconds=round(row.oldest, 3),
            audio_seconds_waiting=round(row.audio_seconds, 3),
            unmeasured_jobs=row.unmeasured,
            unmeasured_bytes=row.unmeasured_bytes,
            dead_letters=await deadletters.waiting(self._session),
        )


class Ending(BaseModel):
    """What is going to happen to the processes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"restart": True, "requested_by": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10", "instances": ["jobs", "auth"]}
            ]
        }
    )

    restart: bool
    requested_by: UUID
    instances: list[str] = Field(description="Processes heard lately, all of which were told.")


def _columns(row: Any, view: type[BaseModel]) -> dict[str, Any]:
    names: Sequence[str] = [name for name in view.model_fields if name != "alive"]
    return {name: getattr(row, name) for name in names}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(float(seconds), 3)


def _ratio(audio: float | None, seconds: float | None) -> float | None:
    return round(audio / seconds, 3) if audio and seconds else None
