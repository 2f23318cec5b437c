"""Best-effort broadcasts to every running process."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from .base import Notice


class CancelJob(Notice):
    """Transcribers should stop work on the job as soon as possible; later attempts are not affected."""

    name = "control.cancel_job"
    job_id: UUID
    attempt: int | None = None  # null = every attempt


class GpuUse(BaseModel):
    """Memory and load of a GPU."""

    model_config = ConfigDict(frozen=True)

    name: str
    memory_used_bytes: int
    memory_total_bytes: int
    busy_percent: float


class EngineTuning(BaseModel):
    """The tuning of an engine, as measured at start: only `compute_type` and `version` can change the text."""

    model_config = ConfigDict(frozen=True)

    version: str
    compute_type: str
    threads: int
    batch_windows: int


class WorkerHeartbeat(Notice):
    """A transcriber is alive and serves these models; `busy` names its current work."""

    name = "control.worker_heartbeat"
    worker: str
    host: str
    pid: int
    device: str
    engine: str
    models: list[str]
    busy: str | None = None
    version: str
    # The number of chunks that it processes at once, and whether it is paused.
    slots: int = 1
    paused: bool = False
    gpu: GpuUse | None = None
    tuning: EngineTuning | None = None


class ServiceHeartbeat(Notice):
    """A process is alive; processor and memory use include its child processes."""

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
    """Exactly these workers are paused: they finish current work and take no new work."""

    name = "control.pause_workers"
    workers: Annotated[list[str], Field(max_length=1000)]


class EndProcesses(Notice):
    """Every service process that allows it should shut down, to be restarted or to stay down."""

    name = "control.end_processes"
    restart: bool
    requested_by: UUID


class StorageUse(BaseModel):
    """Number and total size of the stored files of one kind."""

    model_config = ConfigDict(frozen=True)

    objects: int
    bytes: int


class StorageMeasured(Notice):
    """The use of the object store by kind of file, as last measured by cleanup."""

    name = "control.storage_measured"
    measured_at: AwareDatetime
    kinds: dict[str, StorageUse]
