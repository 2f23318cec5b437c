"""Objects that exist once per process, for routes, consumers and loops alike."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.events import CancelJob
from common.messaging import CommittedNotices
from jobs.settings import Settings


class Cancellations(CommittedNotices):
    """Best effort: a lost cancellation costs the rest of a chunk, whose result is then ignored."""

    def after_commit(self, session: AsyncSession, job_id: UUID, attempt: int) -> None:
        """Broadcast the cancellation when the session's transaction is committed."""
        self.broadcast_after_commit(session, CancelJob(job_id=job_id, attempt=attempt))


@dataclass(frozen=True, slots=True)
class Resources:
    """The settings and the cancellations of the process; created in app.py."""

    settings: Settings
    cancellations: Cancellations
