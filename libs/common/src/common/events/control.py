"""Best-effort announcements to every running process."""

from uuid import UUID

from .base import Notice


class CancelJob(Notice):
    """Whoever works on the job should stop at the next opportunity."""

    name = "control.cancel_job"
    job_id: UUID


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
