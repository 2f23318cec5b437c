"""Commands to the transcribers: one taker at a time, on work queues."""

from uuid import UUID

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

    @property
    def queue(self) -> str:
        """A queue per model, so that a worker keeps one model warm."""
        return f"work.chunk.{self.options.model}"

    @property
    def key(self) -> str:
        """One result per chunk of an attempt."""
        return f"chunk/{self.job_id}/{self.attempt}/{self.chunk}"


class AssembleWork(Command):
    """Merge the chunks' results, in the order given, into the transcript and its formats."""

    name = "work.assemble"
    job_id: UUID
    attempt: int
    plan_key: str
    result_keys: list[str]
    options: JobOptions

    @property
    def queue(self) -> str:
        """The queue of all assembly work."""
        return "work.assemble"

    @property
    def key(self) -> str:
        """One transcript per attempt."""
        return f"assemble/{self.job_id}/{self.attempt}"
