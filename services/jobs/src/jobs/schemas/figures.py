"""HTTP bodies of the platform's figures."""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.events import EngineTuning, GpuUse

Window = Literal["1h", "24h", "7d", "30d"]
WINDOWS: dict[Window, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


class Kpis(BaseModel):
    """Jobs that ended within the window; null = no job to compute it from. Deleted jobs do not count."""

    window: Window
    completed: int
    failed: int
    cancelled: int
    jobs_per_hour: float = Field(description="Completed jobs per hour of the window.")
    mean_run_seconds: float | None = Field(description="From the start of the attempt to its end, completed jobs.")
    p95_run_seconds: float | None
    success_rate: float | None = Field(ge=0, le=1, description="Share of completed among completed and failed jobs.")
    audio_seconds: float = Field(description="Total length of the completed recordings.")
    rtfx: float | None = Field(description="Seconds of recording per second from start to transcript.")
    rtfx_decoding: float | None = Field(description="Seconds of recording per second of decoding.")
    mean_queue_seconds: float | None = Field(description="Time that completed jobs waited for a slot.")
    cpu_seconds: float = Field(description="Processor time spent on these jobs.")
    gpu_seconds: float = Field(description="GPU time spent on these jobs.")
    wasted_seconds: float = Field(description="Decoding time of results that were not used.")
    retries: int = Field(description="Number of redeliveries and repeated dispatches of chunks.")
    failures: dict[str, int] = Field(description="Failed jobs by reason code.")


class Queue(BaseModel):
    """Unfinished jobs and waiting audio."""

    queued: int
    processing: int
    enriching: int
    oldest_queued_seconds: float
    audio_seconds_waiting: float = Field(description="Audio not decoded yet, of recordings of known length.")
    unmeasured_jobs: int = Field(description="Queued recordings of unknown length.")
    unmeasured_bytes: int
    dead_letters: int = Field(description="Dead letters that were neither replayed nor discarded.")


class InstanceView(BaseModel):
    """A service process with its child processes."""

    service: str
    instance: str
    host: str
    pid: int
    version: str
    started_at: datetime
    last_seen_at: datetime
    alive: bool
    cpu_percent: float = Field(description="Percent of one core, over the last ten seconds.")
    memory_bytes: int


class Gpu(GpuUse):
    """A worker's GPU."""

    worker: str


class Storage(BaseModel):
    """Storage used by one kind of file."""

    kind: str
    objects: int
    bytes: int
    measured_at: datetime


class Stats(BaseModel):
    """Key figures of the platform."""

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
    storage: list[Storage] = Field(description="At cleanup's last measurement; see also /admin/storage.")


class WorkerView(BaseModel):
    """A transcriber, from its last heartbeat."""

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
    slots: int = Field(description="Chunks that it processes at once.")
    paused: bool
    busy: str | None = Field(description="Keys of the work in progress; null = none.")
    version: str
    gpu: GpuUse | None
    tuning: EngineTuning | None = Field(description="How its engine uses the machine; null = not reported.")
    first_seen_at: datetime
    last_seen_at: datetime
    alive: bool


class WorkerList(BaseModel):
    """Every worker with a heartbeat within a day, by name."""

    items: list[WorkerView]


class Ending(BaseModel):
    """An accepted request to end all processes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"restart": True, "requested_by": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10", "instances": ["jobs", "auth"]}
            ]
        }
    )

    restart: bool
    requested_by: UUID
    instances: list[str] = Field(description="Live processes that receive the request.")
