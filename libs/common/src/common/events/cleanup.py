"""Facts that the cleanup service tells about retention and reset."""

from uuid import UUID

from pydantic import AwareDatetime

from .base import Event


class JobExpired(Event):
    """A finished job is older than the retention allows and should be deleted."""

    routing_key = "job.expired.v1"
    job_id: UUID
    owner_id: UUID
    finished_at: AwareDatetime


class ResetRequested(Event):
    """An administrator wants every job that existed at this moment to be gone, with all that belongs to it.

    With `users` every account goes as well, but for that administrator's.
    """

    routing_key = "reset.requested.v1"
    requested_by: UUID
    users: bool = False
