"""What people who watch a job hear of, in the words of the interface."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from jobs.progress import progress, stage
from jobs.repository import HistoryRepository
from jobs.tables import Job


class History:
    """Tells of a job's steps in the transaction that makes them."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the caller's transaction."""
        self._events = HistoryRepository(session)

    def state(self, job: Job) -> None:
        """The job is in another state."""
        data: dict[str, Any] = {
            "state": job.state,
            "reason_code": job.reason_code,
            "reason": job.reason,
            "transcript_attempt": job.transcript_attempt,
        }
        self._events.tell(job.id, "state", _moment(job) | data)

    def progress(self, job: Job) -> None:
        """More is known about the recording."""
        data = {"duration_seconds": job.duration_seconds, "language": job.language}
        self._events.tell(job.id, "progress", _moment(job) | data)

    def segments(self, job: Job, chunk: int) -> None:
        """A chunk's text is there; readers find the text itself in the ledger."""
        self._events.tell(job.id, "segments", _moment(job) | {"chunk": chunk})


def _moment(job: Job) -> dict[str, Any]:
    return {
        "attempt": job.attempt,
        "stage": stage(job),
        "progress": progress(job),
        "chunks_total": max(job.chunks_known, job.chunks_planned or 0),
        "chunks_done": job.chunks_done,
    }
