"""Facts that the cleanup service tells about retention."""

from uuid import UUID

from pydantic import AwareDatetime

from .base import Event


class JobExpired(Event):
    """A finished job is older than the retention allows and should be deleted."""

    routing_key = "job.expired.v1"
    job_id: UUID
    owner_id: UUID
    finished_at: AwareDatetime
