"""Best-effort announcements to every running process."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from .base import Notice


class CancelJob(Notice):
    """Whoever works on the job should stop at the next opportunity; later attempts are wanted."""

    name = "control.cancel_job"
    job_id: UUID
    attempt: int | None = None  # null = every attempt


class GpuUse(BaseModel):
    """What a GPU has in its memory and how busy it is."""

    model_config = ConfigDict(frozen=True)

    name: str
    memory_used_bytes: int
    memory_total_bytes: int
    busy_percent: float


class EngineTuning(BaseModel):
    """How an engine uses its machine, as measured at start: it changes no text but by `compute_type` and `version`."""

    model_config = ConfigDict(frozen=True)

    version: str
    compute_type: str
    threads: int
    batch_windows: int


class WorkerHeartbeat(Notice):
    """A transcriber is alive and serves these models; `busy` names the work in its hands."""

    name = "control.worker_heartbeat"
    worker: str
    host: str
    pid: int
    device: str
    engine: str
    models: list[str]
    busy: str | None = None
    version: str
    # Chunks that it takes at once, and whether it has been told to take none for now.
    slots: int = 1
    paused: bool = False
    gpu: GpuUse | None = None
    tuning: EngineTuning | None = None


class ServiceHeartbeat(Notice):
    """A process is alive and, together with its children, uses so much of its machine."""

    name = "control.service_heartbeat"
    service: str
    instance: str
    host: str
    pid: int
    version: str
    started_at: AwareDatetime
    cpu_percent: float  # of one core, since the heartbeat before
    memory_bytes: int  # resident


class PauseWorkers(Notice):
    """These workers, and no others, should take no new work until told otherwise; what is in their hands goes on."""

    name = "control.pause_workers"
    workers: Annotated[list[str], Field(max_length=1000)]


class EndProcesses(Notice):
    """Every service process that allows it should end in order, to be started again or to stay down."""

    name = "control.end_processes"
    restart: bool
    requested_by: UUID


class StorageUse(BaseModel):
    """How much of one kind of file is stored."""

    model_config = ConfigDict(frozen=True)

    objects: int
    bytes: int


class StorageMeasured(Notice):
    """So much was in the object store, by kind of file, when cleanup last looked through it."""

    name = "control.storage_measured"
    measured_at: AwareDatetime
    kinds: dict[str, StorageUse]
