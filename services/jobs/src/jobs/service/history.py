"""The events that clients of a job receive."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from jobs.repository import HistoryRepository
from jobs.schemas.progress import progress, stage
from jobs.tables import Job


class History:
    """Appends events in the transaction of the change."""

    def __init__(self, session: AsyncSession) -> None:
        self._events = HistoryRepository(session)

    def state(self, job: Job) -> None:
        """Append a change of state."""
        data: dict[str, Any] = {
            "state": job.state,
            "reason_code": job.reason_code,
            "reason": job.reason,
            "transcript_attempt": job.transcript_attempt,
        }
        self._events.append(job.id, "state", _moment(job) | data)

    def progress(self, job: Job) -> None:
        """Append new facts about the recording."""
        data = {"duration_seconds": job.duration_seconds, "language": job.language}
        self._events.append(job.id, "progress", _moment(job) | data)

    def segments(self, job: Job, chunk: int) -> None:
        """Append the text of a chunk, which readers join from the ledger."""
        self._events.append(job.id, "segments", _moment(job) | {"chunk": chunk})


def _moment(job: Job) -> dict[str, Any]:
    return {
        "attempt": job.attempt,
        "stage": stage(job),
        "progress": progress(job),
        "chunks_total": max(job.chunks_known, job.chunks_planned or 0),
        "chunks_done": job.chunks_done,
    }
