"""Commands to the transcribers, on work queues."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from .base import Command
from .options import JobOptions


class PlanWork(Command):
    """Decode a recording, find the speech and cut it into chunks."""

    name = "work.plan"
    job_id: UUID
    attempt: int
    source_key: str
    size_bytes: int
    options: JobOptions

    @property
    def queue(self) -> str:
        """The queue of all plan work."""
        return "work.plan"

    @property
    def key(self) -> str:
        """One plan per attempt."""
        return f"plan/{self.job_id}/{self.attempt}"


class ChunkWork(Command):
    """Transcribe one chunk."""

    name = "work.chunk"
    job_id: UUID
    attempt: int
    chunk: int
    language: str
    options: JobOptions
    windows: int | None = None  # the number of windows of at most 30 s

    @property
    def queue(self) -> str:
        """A queue per model, so that a worker keeps one model warm."""
        return f"work.chunk.{self.options.model}"

    @property
    def key(self) -> str:
        """One result per chunk of an attempt."""
        return f"chunk/{self.job_id}/{self.attempt}/{self.chunk}"


class VerifyWork(Command):
    """Transcribe a chunk again and compare the result; nothing is stored, and the job does not change."""

    name = "work.verify"
    verification: UUID
    job_id: UUID
    attempt: int
    chunk: int
    result_key: str
    language: str
    options: JobOptions

    @property
    def queue(self) -> str:
        """A queue per model, beside that of the chunks."""
        return f"work.verify.{self.options.model}"

    @property
    def key(self) -> str:
        """One comparison per chunk of a verification."""
        return f"verify/{self.verification}/{self.chunk}"


class ChunkOrigin(BaseModel):
    """The origin of a chunk's result; the hash is of the stored result, as published by its worker."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    chunk: int
    attempt: int
    worker: str | None = None
    deliveries: int = 1
    result_sha256: str


class AssembleWork(Command):
    """Merge the chunks' results, in the order given, into the transcript and its formats."""

    name = "work.assemble"
    job_id: UUID
    attempt: int
    plan_key: str
    result_keys: list[str]
    options: JobOptions
    # For the provenance; the transcript does not depend on them.
    source_sha256: str | None = None
    origins: list[ChunkOrigin] = Field(default_factory=list)

    @property
    def queue(self) -> str:
        """The queue of all assembly work."""
        return "work.assemble"

    @property
    def key(self) -> str:
        """One transcript per attempt."""
        return f"assemble/{self.job_id}/{self.attempt}"
